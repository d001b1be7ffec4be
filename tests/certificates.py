"""Makes certificates for servers on loopback, good ones and bad ones, with the openssl command."""

import subprocess
from pathlib import Path


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificates(folder: Path) -> dict[str, Path]:
    """Make an authority and four certificates, each with its key: good, expired, another_host, self_signed."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("authority", "self_signed"):
        made = ("req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", "/CN=localhost")
        _openssl(folder, *made, "-days", "2", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name, host, days in (("good", "localhost", 2), ("expired", "localhost", -1), ("another_host", "a.invalid", 2)):
        (folder / "names").write_text(f"subjectAltName=DNS:{host}\n", encoding="utf-8")
        _openssl(folder, "req", "-new", *key, "-keyout", f"{name}.key", "-out", "request", "-subj", f"/CN={host}")
        signed = (
            "x509",
            "-req",
            "-in",
            "request",
            "-CA",
            "authority.crt",
            "-CAkey",
            "authority.key",
            "-CAcreateserial",
        )
        _openssl(folder, *signed, "-days", str(days), "-extfile", "names", "-out", f"{name}.crt")
    for path in folder.glob("*.key"):
        chain = path.with_suffix(".pem")
        chain.write_bytes(path.with_suffix(".crt").read_bytes() + path.read_bytes())
    return {path.stem: path for path in folder.glob("*.pem")} | {"authority": folder / "authority.crt"}
