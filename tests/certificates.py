"""A certificate authority for a test, and what it signs, as PEM texts."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA in a folder of its own."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    @classmethod
    def made(cls, folder: Path) -> "Authority":
        folder.mkdir(parents=True)
        # Named, as verifiers since Python 3.13 demand: what signs, and how its key is known.
        _openssl(
            folder,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout ca.key -out ca.crt "
            "-subj /CN=test-ca -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign",
        )
        return cls(folder)

    def signs(self, name: str) -> Signed:
        """Return a certificate for 127.0.0.1 that names `name`; good for a server and for a client."""
        _openssl(
            self.folder,
            f"req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.csr "
            f"-subj /CN={name}",
        )
        (self.folder / f"{name}.ext").write_text(
            "subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
        )
        _openssl(
            self.folder,
            f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out {name}.crt "
            f"-extfile {name}.ext",
        )
        return Signed(self.folder / f"{name}.crt", self.folder / f"{name}.key")


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)
