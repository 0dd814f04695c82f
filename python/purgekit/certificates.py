"""Why a server's certificate was refused, where the client library does not say."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from pathlib import Path

from purgekit.errors import ConnectionFailed
from purgekit.url import Target

ASK_FOR_TLS = struct.pack("!ii", 8, 80_877_103)  # PostgreSQL's SSLRequest
LONGEST_WAIT_S = 5.0


def with_reason(failure: ConnectionFailed, target: Target) -> ConnectionFailed:
    """``failure`` with OpenSSL's reason added: libpq says no more than "certificate verify failed"."""
    if "certificate verify failed" not in str(failure) or not target.scheme.startswith("postgres"):
        return failure
    reason = _reason(target)
    return ConnectionFailed(f"{failure}: {reason}", code=failure.code) if reason else failure


def _reason(target: Target) -> str:
    options = dict(target.options)
    authority = options.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # a wrong name has a message of its own
    address = (options.get("hostaddr") or target.host or options.get("host", ""), target.port or 5432)
    try:
        context.load_verify_locations(authority or Path.home() / ".postgresql" / "root.crt")
        with socket.create_connection(address, LONGEST_WAIT_S) as line:
            line.sendall(ASK_FOR_TLS)
            if line.recv(1) == b"S":
                context.wrap_socket(line).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, ValueError, RuntimeError):
        pass  # the failure at hand says enough without
    return ""
