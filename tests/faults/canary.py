"""A token that must be found nowhere: what it looks like in every form, and where one of them has got to."""

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import duckdb

_WINDOW = 20


def _segment(document: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Canary:
    """A token with the shape of a JWT, new each time."""

    token: str

    def forms(self) -> dict[str, str]:
        """Return each form in which a text may hold the token."""
        token, hexadecimal = self.token, self.token.encode().hex()
        coded = {f"base64, {n}": base64.b64encode(b"Bearer "[n:] + token.encode()).decode() for n in range(3)}
        return {
            "raw": token,
            **coded,
            "base64 for URLs": base64.urlsafe_b64encode(token.encode()).decode(),
            "base64 in lines": base64.encodebytes(f"token {token}".encode()).decode(),
            "URL": "".join(f"%{ord(sign):02X}" for sign in token),
            "URL, twice": quote("".join(f"%{ord(sign):02x}" for sign in token)),
            "JSON": "".join(f"\\u{ord(sign):04x}" for sign in token),
            "HTML": "".join(f"&#{ord(sign)};" for sign in token),
            "HTML, hexadecimal": "".join(f"&#x{ord(sign):X};" for sign in token),
            "hexadecimal": hexadecimal,
            "UTF-16": "".join(f"{sign}\0" for sign in token),
            "payload alone": token.split(".")[1],
            "signature alone": token.split(".")[2],
        }

    def text(self, first: int = 0) -> str:
        """Return all forms, beginning with another one each time: what is kept of a long text is its beginning."""
        forms = list(self.forms().values())
        first %= len(forms)
        return " ; ".join([*forms[first:], *forms[:first]])

    def found_in(self, data: bytes | str) -> set[str]:
        """Return the forms of which a piece is in `data`."""
        content = data.encode(errors="surrogateescape") if isinstance(data, str) else data
        forms = {name: form.replace("\n", "") for name, form in self.forms().items()}
        # As a console or a log shows it.
        forms["UTF-16, printed"] = "".join(f"{sign}\\x00" for sign in self.token)
        return {
            name
            for name, form in forms.items()
            for at in (6, len(form) // 2, len(form) - _WINDOW - 6)
            if form[at : at + _WINDOW].encode() in content
        }

    def found_below(self, folder: Path) -> dict[str, set[str]]:
        """Return the files below a folder that hold the token, and what of the audit tables of a database does."""
        paths = [path for path in folder.rglob("*") if path.is_file()]
        found = {str(path): self.found_in(path.read_bytes()) for path in paths}
        for path in paths:
            # A database compresses its texts; the file alone proves little.
            if path.suffix == ".duckdb":
                found[f"{path}: audit"] = self.found_in(_audit(path))
        return {name: forms for name, forms in found.items() if forms}


def new_canary() -> Canary:
    head = {"alg": "HS256", "typ": "JWT", "kid": secrets.token_hex(6)}
    return Canary(f"{_segment(head)}.{_segment({'sub': secrets.token_hex(12)})}.{secrets.token_urlsafe(32)}")


def _audit(path: Path) -> str:
    with duckdb.connect(str(path)) as connection:
        tables = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where schema_name = 'audit'"
        ).fetchall()
        assert len(tables) > 10
        return "\n".join(str(connection.table(name).fetchall()) for (name,) in tables)
