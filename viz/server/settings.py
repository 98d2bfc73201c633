"""How can this server be reached: under which names, behind which proxy, with which password?"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

# The Hub shows a Space's page in a frame.
_SPACE_FRAMES = "https://huggingface.co https://*.hf.space"
# A Space is reached through the platform's own proxies, which run in private networks.
SPACE_PROXIES = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,127.0.0.1"


USER = "visitor"
PORTS_TRIED = 100


@dataclass(frozen=True)
class Settings:
    """Which requests are answered.

    Attributes:
        names: Host names that are answered, in lower case; "*.example.org" answers all below it, "*" every name.
        any_address: Whether literal addresses are answered; else only loopback ones.
        root_path: Where a reverse proxy has put the page: "/studio", or a whole address; "" for the root.
        password: What a visitor must give; "" for none. The user name is `USER`.
        frames: Which pages may show this one in a frame.
        trusts_proxy: Whether `X-Forwarded-Host` counts; its name must still be one of `names`.
    """

    names: frozenset[str]
    any_address: bool = False
    root_path: str = ""
    password: str = ""
    frames: str = "'self'"
    trusts_proxy: bool = False

    def answers(self, host: str) -> bool:
        """Say whether a `Host` header is one of ours; the port does not count."""
        name = _without_port(host).lower().rstrip(".")
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            above = name.partition(".")[2]
            return name in self.names or f"*.{above}" in self.names or "*" in self.names
        return self.any_address or address.is_loopback or name in self.names or "*" in self.names


def settings_from(environ: Mapping[str, str], host: str) -> Settings:
    """Read ALLOWED_HOSTS, ROOT_PATH, PASSWORD, FORWARDED_ALLOW_IPS and the Space's own variables.

    Args:
        environ: The process's environment.
        host: The address that is bound.
    """
    names = {"localhost"}
    any_address = not _is_loopback(host)
    if any_address:
        names |= {socket.gethostname().lower(), socket.gethostname().lower() + ".local", host.lower()}
    space = environ.get("SPACE_HOST", "")
    names |= {name.strip().lower() for name in (*environ.get("ALLOWED_HOSTS", "").split(","), *space.split(","))}
    return Settings(
        names=frozenset(names - {""}),
        any_address=any_address,
        root_path=environ.get("ROOT_PATH", "").rstrip("/"),
        password=environ.get("PASSWORD", ""),
        frames=f"'self' {_SPACE_FRAMES}" if environ.get("SPACE_ID") else "'self'",
        trusts_proxy=bool(environ.get("FORWARDED_ALLOW_IPS")),
    )


def forwarded_allow_ips(environ: Mapping[str, str] = os.environ) -> str:
    """Say whose `X-Forwarded-For` uvicorn believes: nobody's, unless set or on a Space."""
    return environ.get("FORWARDED_ALLOW_IPS", SPACE_PROXIES if environ.get("SPACE_ID") else "")


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def free_port(host: str, first: int) -> int:
    """Find the first free port from `first` on.

    Raises:
        OSError: There is none.
    """
    for port in range(first, min(first + PORTS_TRIED, 65536)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"No free port from {first} on; set PORT to another number.")
