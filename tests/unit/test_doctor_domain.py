"""What the doctor makes of a domain: SES's answers as recorded, DNS out of a dictionary."""

from typing import Any

import pytest
from tests.support.dns import Answers, Zone

from engine.operations.account_checks import Finding
from engine.operations.doctor import domain_checks
from engine.operations.doctor.dns_lookup import DnsLookup
from engine.operations.doctor.dns_records import (
    DnsRecord,
    DomainInDns,
    dkim_records,
    looked_up,
    mail_from_records,
)

DOMAIN, ENVELOPE = "shop.example", "bounce.shop.example"
TOKENS = (
    "vvjuipp74whm76gqoni7qmwwn4w4qusj",
    "3frqe7jn4obpuxjpwpolz6ipb3k5nvt2",
    "wrqplteh7oodxnad7hsl4mixg2uavzne",
)

# GetEmailIdentity of a domain that is set up whole.
IDENTITY: dict[str, Any] = {
    "IdentityType": "DOMAIN",
    "FeedbackForwardingStatus": True,
    "VerifiedForSendingStatus": True,
    "DkimAttributes": {
        "SigningEnabled": True,
        "Status": "SUCCESS",
        "Tokens": list(TOKENS),
        "SigningAttributesOrigin": "AWS_SES",
        "NextSigningKeyLength": "RSA_2048_BIT",
        "CurrentSigningKeyLength": "RSA_2048_BIT",
    },
    "MailFromAttributes": {
        "MailFromDomain": ENVELOPE,
        "MailFromDomainStatus": "SUCCESS",
        "BehaviorOnMxFailure": "USE_DEFAULT_VALUE",
    },
    "VerificationStatus": "SUCCESS",
}
SES_SPF = "v=spf1 include:amazonses.com ~all"
ZONE: dict[tuple[str, str], list[str]] = {
    **{(f"{token}._domainkey.{DOMAIN}", "CNAME"): [f"{token}.dkim.amazonses.com."] for token in TOKENS},
    (ENVELOPE, "MX"): ["10 feedback-smtp.eu-west-1.amazonses.com."],
    (ENVELOPE, "TXT"): [SES_SPF],
    ("amazonses.com", "TXT"): ["v=spf1 ip4:199.255.192.0/22 -all"],
    ("_dmarc.shop.example", "TXT"): ["v=DMARC1; p=reject"],
}


def identity(**changes: Any) -> dict[str, Any]:
    """`IDENTITY` with `DkimAttributes` or `MailFromAttributes` changed in part; None takes them out."""
    changed = {name: {**IDENTITY[name], **part} if part is not None else {} for name, part in changes.items()}
    return {**IDENTITY, **changed}


def look(
    answers: Answers, of: dict[str, Any] = IDENTITY, domain: str = DOMAIN, **options: Any
) -> DomainInDns:
    records = [*dkim_records(DOMAIN, of, "eu-west-1"), *mail_from_records(of, "eu-west-1")]
    used = of["MailFromAttributes"].get("MailFromDomain")
    return DnsLookup(Zone(answers, **options)).look(domain, used, records)


def levels(findings: Any) -> list[str]:
    return [finding.level for finding in findings]


def only(findings: Any) -> Finding:
    (finding,) = findings
    assert isinstance(finding, Finding)
    return finding


class TestRecordsToPublish:
    def test_easy_dkim_has_three_names_that_point_to_ses(self) -> None:
        first, *others = dkim_records(DOMAIN, IDENTITY, "eu-west-1")
        assert first == DnsRecord(
            name=f"{TOKENS[0]}._domainkey.shop.example", type="CNAME", value=f"{TOKENS[0]}.dkim.amazonses.com"
        )
        assert len(others) == 2

    def test_some_regions_have_keys_under_a_name_of_their_own(self) -> None:
        record = dkim_records(DOMAIN, IDENTITY, "ap-northeast-3")[0]
        assert record.value.endswith(".dkim.ap-northeast-3.amazonses.com")

    def test_a_key_of_ones_own_is_not_one_that_ses_knows(self) -> None:
        own = identity(DkimAttributes={"SigningAttributesOrigin": "EXTERNAL", "Tokens": ["selector"]})
        assert dkim_records(DOMAIN, own, "eu-west-1") == []

    def test_a_mail_from_domain_has_an_exchange_and_spf(self) -> None:
        assert mail_from_records(IDENTITY, "eu-west-1") == [
            DnsRecord(name=ENVELOPE, type="MX", value="10 feedback-smtp.eu-west-1.amazonses.com"),
            DnsRecord(name=ENVELOPE, type="TXT", value=SES_SPF),
        ]
        assert mail_from_records(identity(MailFromAttributes=None), "eu-west-1") == []

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("MX", "5 Feedback-SMTP.eu-west-1.amazonses.com."),
            ("TXT", "v=spf1 ip4:192.0.2.1 include:amazonses.com -all"),
        ],
    )
    def test_a_record_that_serves_the_same_end_counts_as_published(self, kind: str, value: str) -> None:
        dns = look({**ZONE, (ENVELOPE, kind): [value]})
        records = [record for record in mail_from_records(IDENTITY, "eu-west-1") if record.type == kind]
        assert looked_up(records[0], dns).published is True

    def test_no_answer_of_dns_is_not_a_missing_record(self) -> None:
        (exchange, _) = mail_from_records(IDENTITY, "eu-west-1")
        assert looked_up(exchange, look(ZONE, silent=[ENVELOPE])).published is None
        assert looked_up(exchange, look({**ZONE, (ENVELOPE, "MX"): []})).published is False

    def test_without_a_dmarc_record_one_to_begin_with_is_offered(self) -> None:
        (record,) = domain_checks.dmarc_records(DOMAIN, look({**ZONE, ("_dmarc.shop.example", "TXT"): []}))
        assert (record.name, record.value, record.published) == (
            "_dmarc.shop.example",
            "v=DMARC1; p=none",
            False,
        )


class TestDkim:
    def check(self, of: dict[str, Any], answers: Answers = ZONE, name: str = DOMAIN) -> list[Finding]:
        dns = look(answers, of)
        records = [looked_up(record, dns) for record in dkim_records(DOMAIN, of, "eu-west-1")]
        return list(domain_checks.dkim(DOMAIN, name, of, records))

    def test_signed_and_published_is_well(self) -> None:
        assert levels(self.check(IDENTITY)) == ["ok", "ok"]

    @pytest.mark.parametrize("status", ["PENDING", "FAILED", "TEMPORARY_FAILURE", "NOT_STARTED"])
    def test_what_ses_has_not_verified_is_a_problem(self, status: str) -> None:
        said = self.check(identity(DkimAttributes={"Status": status}))[0]
        assert said.level == "problem"
        assert status in said.what

    def test_signing_that_is_switched_off_is_a_problem_with_the_command_that_switches_it_on(self) -> None:
        said = self.check(identity(DkimAttributes={"SigningEnabled": False}))[0]
        assert said.level == "problem"
        assert "put-email-identity-dkim-attributes" in said.remedy

    def test_records_that_dns_has_lost_are_a_problem_though_ses_has_not_noticed(self) -> None:
        said = self.check(IDENTITY, {**ZONE, (f"{TOKENS[0]}._domainkey.{DOMAIN}", "CNAME"): []})
        assert levels(said) == ["ok", "problem"]
        assert "lacks 1 DKIM record of 3" in said[1].what

    def test_an_address_alone_is_signed_for_by_amazon(self) -> None:
        said = only(self.check(identity(), name="hello@shop.example"))
        assert said.level == "problem"
        assert "signs its mail as amazonses.com" in said.what


class TestMailFrom:
    def check(self, of: dict[str, Any], answers: Answers = ZONE) -> list[Finding]:
        dns = look(answers, of)
        records = [looked_up(record, dns) for record in mail_from_records(of, "eu-west-1")]
        return list(domain_checks.mail_from(DOMAIN, DOMAIN, of, records))

    def test_one_of_ones_own_is_well(self) -> None:
        assert levels(self.check(IDENTITY)) == ["ok"]

    def test_none_of_ones_own_is_worth_knowing_with_the_command_that_makes_one(self) -> None:
        said = only(self.check(identity(MailFromAttributes=None)))
        assert said.level == "note"
        assert "--mail-from-domain bounce.shop.example" in said.remedy

    @pytest.mark.parametrize(
        ("behaviour", "level"), [("REJECT_MESSAGE", "problem"), ("USE_DEFAULT_VALUE", "note")]
    )
    def test_one_that_failed_stops_mail_only_where_ses_was_told_to(self, behaviour: str, level: str) -> None:
        broken = {"MailFromDomainStatus": "FAILED", "BehaviorOnMxFailure": behaviour}
        said = self.check(identity(MailFromAttributes=broken), {**ZONE, (ENVELOPE, "MX"): []})
        assert levels(said) == [level, level]


class TestSpf:
    def check(self, answers: Answers, of: dict[str, Any] = IDENTITY) -> list[Finding]:
        return list(domain_checks.spf(DOMAIN, of, look(answers, of)))

    def test_that_of_the_mail_from_domain_is_counted(self) -> None:
        said = only(self.check(ZONE))
        assert said.level == "ok"
        assert "1 of 10 DNS look-ups" in said.what

    def test_none_is_a_problem_with_the_record_to_publish(self) -> None:
        said = only(self.check({**ZONE, (ENVELOPE, "TXT"): []}))
        assert (said.level, said.remedy) == ("problem", f"Publish TXT {ENVELOPE}: {SES_SPF}")

    def test_one_without_ses_is_a_problem(self) -> None:
        assert only(self.check({**ZONE, (ENVELOPE, "TXT"): ["v=spf1 ip4:192.0.2.1 -all"]})).level == "problem"

    def test_eleven_look_ups_are_one_too_many_and_ten_are_not(self) -> None:
        """Those of an include count too: RFC 7208, section 4.6.4."""
        nested = {(f"s{number}.example", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"] for number in range(9)}
        includes = " ".join(f"include:s{number}.example" for number in range(8))
        ten = {**ZONE, **nested, ("many.example", "TXT"): [f"v=spf1 {includes} -all"]}
        ten[ENVELOPE, "TXT"] = ["v=spf1 include:amazonses.com include:many.example -all"]
        assert only(self.check(ten)).level == "ok"
        eleven = {**ten, ("many.example", "TXT"): [f"v=spf1 {includes} include:s8.example -all"]}
        said = only(self.check(eleven))
        assert said.level == "problem"
        assert "takes 11 DNS look-ups, and 10 are allowed" in said.what

    def test_that_of_the_senders_domain_harms_other_mail_alone(self) -> None:
        said = self.check({**ZONE, (DOMAIN, "TXT"): ["v=spf1 ip4:192.0.2.300 -all"]})
        assert levels(said) == ["ok", "note"]
        assert "SES's mail is not judged by it" in said[1].why

    def test_two_records_are_an_error_as_receivers_see_it(self) -> None:
        assert only(self.check({**ZONE, (ENVELOPE, "TXT"): [SES_SPF, "v=spf1 -all"]})).level == "problem"

    def test_no_answer_of_dns_is_no_finding(self) -> None:
        assert list(domain_checks.spf(DOMAIN, IDENTITY, look(ZONE, silent=[ENVELOPE, DOMAIN]))) == []


class TestDmarc:
    def check(
        self, record: list[str], of: dict[str, Any] = IDENTITY, domain: str = DOMAIN, name: str = DOMAIN
    ) -> Finding:
        dns = look({**ZONE, ("_dmarc.shop.example", "TXT"): record, (domain, "A"): ["192.0.2.1"]}, of, domain)
        return only(domain_checks.dmarc(domain, name, of, dns))

    def test_dkim_and_spf_are_aligned_where_both_are_the_domains_own(self) -> None:
        said = self.check(["v=DMARC1; p=reject"])
        assert said == Finding("ok", "DMARC of shop.example (p=reject) passes by DKIM and SPF")

    def test_under_strict_alignment_a_mail_from_subdomain_does_not_count(self) -> None:
        assert self.check(["v=DMARC1; p=reject; aspf=s"]).what.endswith("passes by DKIM")

    def test_under_strict_alignment_a_parents_signature_does_not_count(self) -> None:
        said = self.check(["v=DMARC1; p=reject; adkim=s; aspf=s"], domain="news.shop.example")
        assert said.level == "problem"
        assert "neither DKIM nor SPF is aligned" in said.what

    def test_a_subdomain_goes_by_its_parents_record_and_its_policy_for_subdomains(self) -> None:
        said = self.check(["v=DMARC1; p=reject; sp=quarantine"], domain="news.shop.example")
        assert said.what == "DMARC of news.shop.example (p=quarantine) passes by DKIM and SPF"

    def test_unsigned_mail_without_an_envelope_of_its_own_fails(self) -> None:
        unsigned = identity(DkimAttributes={"Status": "PENDING"}, MailFromAttributes=None)
        said = self.check(["v=DMARC1; p=reject"], unsigned)
        assert (said.level, said.why) == ("problem", "Receivers do with it as the policy says.")

    def test_a_domain_that_does_not_exist_is_told_as_such(self) -> None:
        none = look(ZONE, domain="shpo.example")
        said = only(domain_checks.dmarc("shpo.example", "shpo.example", IDENTITY, none))
        assert "does not exist" in said.what

    def test_none_at_all_is_a_problem(self) -> None:
        assert "has no DMARC record" in self.check([]).what

    @pytest.mark.parametrize("record", [["v=DMARC1; p=reject", "v=DMARC1; p=none"], ["v=DMARC1; p=perhaps"]])
    def test_one_that_receivers_pass_over_is_a_problem(self, record: list[str]) -> None:
        said = self.check(record)
        assert said.level == "problem"
        assert "can't be used" in said.what

    def test_no_answer_of_dns_is_told_as_skipped(self) -> None:
        dns = look(ZONE, silent=["_dmarc.shop.example"])
        assert levels(domain_checks.dmarc(DOMAIN, DOMAIN, IDENTITY, dns)) == ["skipped"]
