"""How a run of `sesmailengine send` ends: exit code, verdict, and what `--json` prints."""

from msgspec import Struct
from msgspec.structs import replace

from engine.cli.campaign.campaign import Campaign
from engine.cli.campaign.survey import Survey
from engine.operations.verdict import Verdict


class CampaignFacts(Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts, and lines of the file: no address and nothing else that a row says.

    `before`: accepted by earlier runs. `requested`, `accepted`, `refused`: by this one; the bus did not take
    what was refused. `left`: good rows that no run has had accepted; null where --missing was broken off.
    `bad_lines`, `refused_lines`: the first of them.
    """

    campaign: str | None
    prefix: str
    rows: int
    bad: int
    bad_lines: list[int]
    before: int
    requested: int = 0
    accepted: int = 0
    refused: int = 0
    refused_lines: list[int] = []
    left: int | None

    @classmethod
    def of(cls, found: Survey, campaign: str | None, prefix: str) -> "CampaignFacts":
        """Before anything is sent."""
        return cls(
            campaign=campaign,
            prefix=prefix,
            rows=found.rows,
            bad=found.bad,
            bad_lines=[problem.line for problem in found.named],
            before=found.done,
            left=found.good - found.done,
        )

    def after(self, campaign: Campaign, left: int | None) -> "CampaignFacts":
        return replace(
            self,
            requested=campaign.accepted + campaign.not_accepted,
            accepted=campaign.accepted,
            refused=campaign.not_accepted,
            refused_lines=[problem.line for problem in campaign.refused],
            left=left,
        )


class Ending(Struct, frozen=True):
    """`code`: 0 only where everything was accepted, or the day's share of it, or it was a dry run."""

    code: int
    sentence: str
    facts: CampaignFacts | None = None

    @property
    def verdict(self) -> Verdict:
        return Verdict(good=self.code == 0, sentence=self.sentence)
