"""A destination's TLS files: made into a context, watched, and looked at for their expiry."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from feltpost_gateway.errors import TlsFilesError

_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class Expiry:
    """When a certificate ends, in Unix milliseconds, and which one it is."""

    what: str
    end_ms: int


@dataclass(frozen=True)
class TlsFiles:
    """The files; without `ca_file` the system's own authorities count."""

    ca_file: Path | None
    cert_file: Path | None
    key_file: Path | None

    def context(self) -> ssl.SSLContext:
        """Return a context made of the files as they are now; raise `TlsFilesError`."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            # Python's default from 3.13 on. It refuses certificates that lack what RFC 5280 asks
            # of authorities, such as key identifiers; many a municipality's own authority leaves
            # them out, and nothing about who the broker is depends on them.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if self.cert_file is not None:
                # Without a password that is refused, OpenSSL would ask for one at a terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password="")
        except (OSError, ValueError) as error:
            names = ", ".join(str(path) for path in self._paths())
            raise TlsFilesError(
                f"the TLS files ({names}) can't be used: {error}. Check that they exist, that the"
                " gateway's user can read them, and that the key, unencrypted, is the certificate's"
            ) from error
        return context

    def stamps(self) -> tuple[_Stamp, ...]:
        """Return what changes when a file is replaced."""
        return tuple(_stamp(path) for path in self._paths())

    def expiries(self) -> list[Expiry]:
        """Return when the client certificate and the CA file's longest-lived certificate end."""
        found = []
        if self.cert_file is not None:
            certificate = x509.load_pem_x509_certificate(self.cert_file.read_bytes())
            found.append(Expiry(str(self.cert_file), _ms(certificate.not_valid_after_utc)))
        if self.ca_file is not None:
            authorities = x509.load_pem_x509_certificates(self.ca_file.read_bytes())
            # An old authority often stays in the file beside the one that followed it.
            end = max(authority.not_valid_after_utc for authority in authorities)
            found.append(Expiry(str(self.ca_file), _ms(end)))
        return found

    def _paths(self) -> list[Path]:
        return [path for path in (self.ca_file, self.cert_file, self.key_file) if path is not None]


def peer_expiry(connection: ssl.SSLSocket, broker: str) -> Expiry | None:
    """Return when the certificate ends that a broker showed."""
    encoded = connection.getpeercert(binary_form=True)
    if encoded is None:
        return None
    end = x509.load_der_x509_certificate(encoded).not_valid_after_utc
    return Expiry(f"the certificate of broker {broker}", _ms(end))


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)
