"""Which account a node has at a destination that wants one for each."""

from feltpost_gateway.destination_config import AccountConfig, DestinationConfig
from feltpost_gateway.formats.base import NodeDescription


class Accounts:
    """The accounts of one destination."""

    def __init__(self, config: DestinationConfig) -> None:
        self._accounts = {account.node: account for account in config.accounts}

    def __bool__(self) -> bool:
        return bool(self._accounts)

    def find(self, node: NodeDescription) -> AccountConfig | None:
        """Return a node's account, None where it has none."""
        name, full_name = names_of(node)
        return self._accounts.get(full_name) or self._accounts.get(name)

    def fields(self, node: NodeDescription) -> dict[str, str]:
        """Return what the fields of topics and client ids that are a node's stand for."""
        fields = {
            "owner": node.owner,
            "site": node.site,
            "node": node.name,
            "eui64": node.urn.removeprefix("urn:dev:mac:"),
        }
        account = self.find(node)
        if account is not None and account.device is not None:
            fields["device"] = account.device
        return fields


def names_of(node: NodeDescription) -> tuple[str, str]:
    """Return what a node is called in the configuration: its name, and `owner/site/name`."""
    return node.name, f"{node.owner}/{node.site}/{node.name}"
