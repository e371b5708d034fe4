"""Who may call the API server: an administrator, the plane's own parts, and people without any rights yet."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from consumer.adapters.control_plane.trouble import ControlPlaneError

_STRANGERS = 64


@dataclass(frozen=True, slots=True)
class User:
    """A name that RBAC knows, the groups it is in, and the token that proves it."""

    name: str
    groups: tuple[str, ...]
    token: str = field(repr=False)

    @classmethod
    def made(cls, name: str, *groups: str) -> "User":
        """A user with a new token."""
        return cls(name, groups, secrets.token_hex(16))


class People:
    """All users of one plane. The API server reads its file once, so strangers are made in advance and handed out."""

    def __init__(self) -> None:
        self.admin = User.made("bed-admin", "system:masters")
        self.controllers = User.made("bed-controllers", "system:masters")
        self.pods = User.made("bed-pods", "system:masters")
        self._strangers = tuple(
            User.made(f"user-{number}", f"user-{number}-group") for number in range(1, _STRANGERS + 1)
        )
        self._known: dict[str, User] = {}

    def stranger(self, label: str) -> User:
        """The user that goes by this label; a new label gets one without any rights.

        Raises:
            ControlPlaneError: all of them are taken.
        """
        if label not in self._known:
            if len(self._known) == len(self._strangers):
                raise ControlPlaneError(
                    f"control plane: all {_STRANGERS} users are taken, none is left for {label}; use one again, or "
                    "a service account"
                )
            self._known[label] = self._strangers[len(self._known)]
        return self._known[label]

    def write(self, tokens: Path) -> None:
        """Write the file that the API server reads."""
        everyone = (self.admin, self.controllers, self.pods, *self._strangers)
        lines = (f'{user.token},{user.name},{user.name},"{",".join(user.groups)}"\n' for user in everyone)
        tokens.touch(mode=0o600)
        tokens.write_text("".join(lines))


def write_kubeconfig(path: Path, *, server: str, ca: Path, user: User, namespace: str = "default") -> Path:
    """Write what kubectl and every client library read; return the path."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bed", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "users": [{"name": user.name, "user": {"token": user.token}}],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": user.name, "namespace": namespace}}],
        "current-context": "bed",
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def write_signing_key(private: Path, public: Path) -> None:
    """Make the key pair that signs the tokens of service accounts."""
    # Imported here: only who starts a plane needs the package.
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    except ImportError as missing:
        raise ControlPlaneError(
            f"control plane: it needs the package cryptography ({missing}); pip install 'elasti-consumer[bed]'"
        ) from missing
    key = ec.generate_private_key(ec.SECP256R1())
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
