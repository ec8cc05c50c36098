"""What SES says of identities and configuration sets: they are as a stack that is set up well has them.

| request | answers |
| --- | --- |
| GET /v2/email/identities/{identity} | verified and signed, if the account may send as it |
| GET /v2/email/configuration-sets/{name} | sending is on |
| GET /v2/email/configuration-sets/{name}/event-destinations | the feedback topic, if the account has one |

The simulated account has no MAIL FROM domains and no DKIM tokens: no DNS knows its identities.
"""

from typing import Any, Final

from engine.local.ses.account import Account
from engine.local.ses.errors import not_found
from engine.local.ses.rules import check_configuration_set

# What the stack asks SES for by default (infra/constructs/configuration_set.py), in the API's words.
_EVENTS: Final = (
    "SEND",
    "REJECT",
    "BOUNCE",
    "COMPLAINT",
    "DELIVERY",
    "RENDERING_FAILURE",
    "DELIVERY_DELAY",
    "SUBSCRIPTION",
    "OPEN",
)


def email_identity(account: Account, identity: str) -> dict[str, Any]:
    """The answer to GetEmailIdentity. Raises SesError where the account has no such identity."""
    if account.identities is not None and identity.lower() not in account.identities:
        raise not_found(f"Email identity <{identity}> does not exist.")
    return {
        "IdentityType": "EMAIL_ADDRESS" if "@" in identity else "DOMAIN",
        "VerifiedForSendingStatus": True,
        "VerificationStatus": "SUCCESS",
        "FeedbackForwardingStatus": True,
        "DkimAttributes": {"SigningEnabled": True, "Status": "SUCCESS", "SigningAttributesOrigin": "AWS_SES"},
        "MailFromAttributes": {"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"},
    }


def configuration_set(account: Account, name: str) -> dict[str, Any]:
    """The answer to GetConfigurationSet. Raises SesError where there is none."""
    check_configuration_set(account, name)
    return {"ConfigurationSetName": name, "SendingOptions": {"SendingEnabled": True}}


def event_destinations(account: Account, name: str) -> dict[str, Any]:
    """The answer to GetConfigurationSetEventDestinations. Raises SesError where there is no such set."""
    check_configuration_set(account, name)
    if not account.feedback_topic:
        return {"EventDestinations": []}
    feedback = {
        "Name": "feedback",
        "Enabled": True,
        "MatchingEventTypes": _EVENTS,
        "SnsDestination": {"TopicArn": account.feedback_topic},
    }
    return {"EventDestinations": [feedback]}
