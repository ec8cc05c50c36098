"""How the mail of a lane leaves, so that a campaign's reputation is not that of password resets."""

from msgspec import Struct


class Stream(Struct, frozen=True):
    """The configuration set and, where the account has tenants, the tenant.

    Source: https://docs.aws.amazon.com/ses/latest/dg/tenants.html
    """

    configuration_set: str
    tenant: str = ""
