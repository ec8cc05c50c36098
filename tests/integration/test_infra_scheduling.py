"""Scheduled email: where its schedules lie, and what the role that hands it over may do."""

from tests.support.synthesized import ACCOUNT, REGION, deployed

from engine.client.schedule import Scheduling

GROUP = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule-group/mail-Scheduled"


def test_the_client_makes_the_same_names_of_the_bus_as_the_stack_has() -> None:
    names = Scheduling.of_bus(f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/mail-EmailBus")
    stack = deployed()
    assert stack.properties("AWS::Scheduler::ScheduleGroup")["Name"] == names.group
    role = stack.find("AWS::IAM::Role", RoleName=names.role_arn.rpartition("/")[2])["Properties"]
    (policy,) = role["Policies"]
    (may,) = policy["PolicyDocument"]["Statement"]
    assert (may["Effect"], may["Action"], may["Resource"]) == ("Allow", "sqs:SendMessage", names.queue_arn)


def test_only_schedules_of_this_group_may_use_the_role() -> None:
    stack = deployed()
    role = stack.find("AWS::IAM::Role", RoleName=f"mail-Schedule-{REGION}")["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnEquals": {"aws:SourceArn": GROUP},
    }


def test_the_roles_name_fits_for_the_longest_stack_and_region() -> None:
    assert len(f"{'s' * 40}-Schedule-ap-southeast-4") <= 64
