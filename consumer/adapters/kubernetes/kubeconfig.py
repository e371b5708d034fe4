"""Reads a kubeconfig as kubectl would, credential plugins included; imported only where a kubeconfig is used."""

import asyncio
import os
import signal
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, NoReturn

import aiohttp
import orjson
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import ConfigException
from kubernetes_asyncio.config.exec_provider import ExecProvider
from kubernetes_asyncio.config.kube_config import (
    KUBE_CONFIG_DEFAULT_LOCATION,
    FileOrData,
    KubeConfigLoader,
    KubeConfigMerger,
)
from yaml import YAMLError

from consumer.adapters.kubernetes.identity import Identity
from consumer.ports import TargetBusyError, TargetForbiddenError

PLUGIN_LIMIT: Final = timedelta(seconds=20)
"""Plugins of cloud providers take one to three seconds, and some ten when they have to log in anew."""
_OTHERS_LIMIT: Final = timedelta(seconds=25)
"""The older providers are asked by the library itself."""
_SHOWN: Final = 300
_TOKEN: Final = "BearerToken"  # noqa: S105 - the name that the library files tokens under
_MALFORMED: Final = (ValueError, TypeError, KeyError, AttributeError, AssertionError)
"""What the library does with a file that is empty, or whose parts are not what they should be."""


async def read_kubeconfig(file: Path | None, context: str | None, plugin_limit: timedelta = PLUGIN_LIMIT) -> Identity:
    """Read it now, and ask the credential plugin where it names one.

    Raises:
        TargetForbiddenError: the file or the context can not be used; the message says which, and why.
        TargetBusyError: a credential plugin failed, or did not end in time.
    """
    configuration = Configuration()
    path = str(file) if file else KUBE_CONFIG_DEFAULT_LOCATION
    try:
        async with asyncio.timeout(_OTHERS_LIMIT.total_seconds()):
            await _loader(path, context, plugin_limit).load_and_set(configuration)
    except TimeoutError:
        raise TargetBusyError(
            f"the identity provider that the kubeconfig {path} names did not answer in time"
        ) from None
    except (aiohttp.ClientError, RuntimeError) as error:
        told = f"the identity provider that the kubeconfig {path} names failed: {error}"
        raise TargetBusyError(told) from error
    except (ConfigException, OSError) as error:
        _refuse(file, str(error), error)
    except YAMLError as error:
        _refuse(file, f"it is no YAML ({' '.join(str(error).split())[:_SHOWN]})", error)
    except _MALFORMED as error:
        _refuse(file, "it is empty or incomplete, as is one that is being written", error)
    return _identity(configuration)


def _identity(configuration: Configuration) -> Identity:
    said = configuration.api_key.get(_TOKEN)
    return Identity(
        server=str(configuration.host).rstrip("/"),
        ca=configuration.ssl_ca_cert,
        verified=bool(configuration.verify_ssl),
        certificate=configuration.cert_file,
        key=configuration.key_file,
        token=said.removeprefix("Bearer ").strip() if said else None,
    )


def _refuse(file: Path | None, why: str, error: Exception) -> NoReturn:
    where = f"the kubeconfig {file or f'{KUBE_CONFIG_DEFAULT_LOCATION} (where kubectl looks)'}"
    raise TargetForbiddenError(f"{where} can not be used: {why}; name another, or a context of it") from error


def _loader(path: str, context: str | None, plugin_limit: timedelta) -> "_Loader":
    files = KubeConfigMerger(path)
    loader = _Loader(
        config_dict=files.config,
        active_context=context,
        config_base_path=None,
        config_persister=lambda _: files.save_changes(),
    )
    loader.plugin_limit = plugin_limit
    return loader


class _Loader(KubeConfigLoader):
    """The library's loader, with plugins that can not outlive their time."""

    plugin_limit = PLUGIN_LIMIT
    cert_file: str | None
    key_file: str | None

    async def load_from_exec_plugin(self) -> bool:
        """Take the token or the certificate that the plugin says."""
        if self._user is None:
            return False
        plugin = _Plugin(self._user["exec"])
        match await plugin.answer(self.plugin_limit):
            case {"token": str(token)}:
                self.token = f"Bearer {token}"
            case {"clientCertificateData": str(certificate), "clientKeyData": str(key)}:
                self.cert_file, self.key_file = _file_of(certificate), _file_of(key)
            case _:
                raise plugin.failure("named neither a token nor a certificate with its key")
        return True


def _file_of(content: str) -> str | None:
    held = FileOrData({"data": content}, None, data_key_name="data", base64_file_content=False)
    file: str | None = held.as_file()
    return file


class _Plugin(ExecProvider):
    """A program that says who we are: run without a terminal, in a group of its own, for a limited time."""

    async def answer(self, limit: timedelta) -> object:
        """Return the status of the ExecCredential that it prints; raises TargetBusyError."""
        said = await self._said(limit)
        try:
            credential = orjson.loads(said)
        except orjson.JSONDecodeError:
            raise self.failure("printed something that is no JSON") from None
        match credential:
            case {"apiVersion": self.api_version, "kind": "ExecCredential", "status": dict(status)}:
                return status
            case _:
                raise self.failure(f"printed no ExecCredential of {self.api_version}")

    async def _said(self, limit: timedelta) -> bytes:
        told = {"apiVersion": self.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
        try:
            process = await asyncio.create_subprocess_exec(
                *self.args,
                env={**self.env, "KUBERNETES_EXEC_INFO": orjson.dumps(told).decode()},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                # What it starts in its turn has to end with it.
                start_new_session=True,
            )
        except OSError as error:
            raise self.failure(f"can not be started ({error}); install it, or correct its path") from error
        try:
            async with asyncio.timeout(limit.total_seconds()):
                said, complaint = await process.communicate()
        except TimeoutError:
            raise self.failure(f"did not end within {limit.total_seconds():g} s") from None
        finally:
            await _end(process)
        if process.returncode:
            words = complaint.decode(errors="replace").strip()[-_SHOWN:]
            raise self.failure(f"ended with {process.returncode}" + (f": {words}" if words else ""))
        return said

    def failure(self, how: str) -> TargetBusyError:
        """The error that says which plugin it is, and what it did."""
        return TargetBusyError(f"the credential plugin {self.args[0]} of the kubeconfig {how}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """See to it that nothing of the plugin is left, however the waiting for it ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
