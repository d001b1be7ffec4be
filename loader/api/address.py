"""Decides, before a socket is opened, whether an address may be spoken to at all."""

import re
from fnmatch import fnmatchcase
from ipaddress import ip_address

from loader.config import Environment, Settings
from loader.errors import Refused

# All that an address may be. What its readers disagree about (userinfo, an empty port, text after a bracket) is no part
# of it, so nobody is spoken to whom the text does not plainly name. One dot at the end means the same host.
_NAME, _IP6 = r"(?P<name>[a-z0-9._-]+?)\.?", r"\[(?P<ip6>[0-9a-f.]*:[0-9a-f:.]*)\]"
_ADDRESS = re.compile(
    rf"(?P<scheme>https?)://(?:{_NAME}|{_IP6})(?::(?P<port>[1-9][0-9]{{0,4}}))?/?", re.IGNORECASE | re.ASCII
)
_HIGHEST_PORT = 65535


def safe_address(settings: Settings, environment: Environment) -> str:
    """Return the environment's address as `scheme://host[:port]`.

    Raises:
        Refused: production, not https (but for loopback), a host that `allowed_hosts` does not list, or anything in
            the address beside scheme, host and port.

    """
    name = environment.name
    if not environment.import_allowed:
        raise Refused(f"{name}: imports are blocked; the loader posts to staging only (--environment staging)")
    parts = _ADDRESS.fullmatch(environment.address())
    if parts is None or int(parts["port"] or 0) > _HIGHEST_PORT:
        raise Refused(
            f"{name}: the address must be https://host or https://host:port and nothing else; "
            f"correct {environment.url_variable}"
        )
    host, scheme = (parts["name"] or parts["ip6"]).lower(), parts["scheme"].lower()
    if any(fnmatchcase(host, pattern.lower()) for pattern in settings.production.hosts):
        raise Refused(
            f"{name}: the host {host} is production ([production] hosts in etl.toml); "
            "imports go to staging only: correct the address"
        )
    if host not in {allowed.lower() for allowed in environment.allowed_hosts}:
        raise Refused(
            f"{name}: the host {host} is not in allowed_hosts of [environments.{name}] "
            "in etl.toml; correct the address, or add the host there"
        )
    if scheme != "https" and not _is_loopback(host):
        raise Refused(f"{name}: {scheme} to {host} would show the token to the network; use https")
    shown = f"[{host}]" if parts["ip6"] else host
    return f"{scheme}://{shown}:{parts['port']}" if parts["port"] else f"{scheme}://{shown}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
