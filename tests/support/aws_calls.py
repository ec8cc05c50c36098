"""What the engine's code asks AWS for, in IAM's words, recorded as it runs against moto and the simulator."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.synthesized import ACCOUNT, LETTERS, REGION, STACK

Params = Mapping[str, Any]

# One statement of a batch is authorized as what it does to the table that it names:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-iam.html
_STATEMENT: Final = re.compile(r'(INSERT|UPDATE|DELETE|SELECT)\b[^"]*"([^"]+)"')


@dataclass(frozen=True)
class Ask:
    """`context`: what a condition may look at."""

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


@dataclass
class Recorder:
    """Hears every call of the clients it listens to. `stack`: the prefix of the test's own resources."""

    stack: str
    asked: set[Ask] = field(default_factory=set)
    operations: set[str] = field(default_factory=set)

    def listen_to(self, client: Any) -> None:
        client.meta.events.register("provide-client-params", self.hear)

    def hear(self, params: Params, model: Any, **_: Any) -> None:
        service = model.service_model.service_name
        self.operations.add(model.name)
        self.asked.update(_ASKS[service](self, model.name, params))

    def name(self, resource: str) -> str:
        """The deployed stack's name for a resource of the test's."""
        return resource.replace(self.stack, STACK, 1)

    def _dynamodb(self, operation: str, params: Params) -> Iterator[Ask]:
        if operation == "BatchExecuteStatement":
            for statement in params["Statements"]:
                verb, table = _one(_STATEMENT.findall(statement["Statement"]))
                yield Ask(f"dynamodb:PartiQL{verb.title()}", self._table(table))
        elif operation == "TransactWriteItems":  # authorized by what is in it
            for item in params["TransactItems"]:
                ((verb, inside),) = item.items()
                yield from self._dynamodb(f"{verb}Item", inside)
        elif "RequestItems" in params:
            for table in params["RequestItems"]:
                yield Ask(f"dynamodb:{operation}", self._table(table))
        else:
            table = self._table(params["TableName"])
            index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
            keys = (params.get("Key") or params.get("Item") or {}).get("email", {}).get("S")
            context = (("dynamodb:LeadingKeys", keys),) if keys else ()
            yield Ask(f"dynamodb:{operation}", table + index, context)

    def _table(self, name: str) -> str:
        return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{self.name(name)}"

    def _s3(self, operation: str, params: Params) -> Iterator[Ask]:
        bucket = f"arn:aws:s3:::{self.name(params['Bucket'])}-{ACCOUNT}"
        # HEAD is authorized as GET; that a key is missing is told to whoever may list it, the key as prefix.
        yield Ask(f"s3:{operation.replace('Head', 'Get')}", f"{bucket}/{params['Key']}")
        if operation != "PutObject":
            yield Ask("s3:ListBucket", bucket, (("s3:prefix", params["Key"]),))

    def _secretsmanager(self, operation: str, params: Params) -> Iterator[Ask]:
        name = self.name(params["SecretId"].rpartition(":")[2].rpartition("-")[0])
        arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-{LETTERS}"
        yield Ask(f"secretsmanager:{operation}", arn)

    def _sqs(self, operation: str, params: Params) -> Iterator[Ask]:
        queue = self.name(params["QueueUrl"].rpartition("/")[2])
        yield Ask(f"sqs:{operation}", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}")

    def _events(self, operation: str, params: Params) -> Iterator[Ask]:
        for entry in params["Entries"]:
            bus = self.name(entry["EventBusName"])
            yield Ask(f"events:{operation}", f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}")

    def _sesv2(self, operation: str, params: Params) -> Iterator[Ask]:
        if operation == "GetAccount":
            yield Ask("ses:GetAccount", "*")
            return
        sender = re.sub(r".*<(.*)>", r"\1", params["FromEmailAddress"])
        configuration_set = self.name(params["ConfigurationSetName"])
        also = {"SendEmail": "SendRawEmail", "SendBulkEmail": "SendBulkTemplatedEmail"}[operation]
        resources = [f"identity/{sender.rpartition('@')[2]}", f"configuration-set/{configuration_set}"]
        if operation == "SendBulkEmail":
            # Of its kind is one of the call's resources; which one, where the call brings its content, AWS
            # does not say.
            resources.append("template/inline")
        for action in (operation, also):
            for resource in resources:
                arn = f"arn:aws:ses:{REGION}:{ACCOUNT}:{resource}"
                yield Ask(f"ses:{action}", arn, (("ses:FromAddress", sender),))


_ASKS: Final = {
    "dynamodb": Recorder._dynamodb,
    "s3": Recorder._s3,
    "secretsmanager": Recorder._secretsmanager,
    "sqs": Recorder._sqs,
    "events": Recorder._events,
    "sesv2": Recorder._sesv2,
}


def _one(found: list[Any]) -> Any:
    (only,) = found
    return only
