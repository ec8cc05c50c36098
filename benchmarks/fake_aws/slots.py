"""The rate state's item, `rate#line`, kept as DynamoDB would keep it under the gate's own expressions."""

from typing import Any


class SlotLine:
    """One item with the attributes of `engine.aws.rate_item`. Moments in microseconds (epoch)."""

    def __init__(self) -> None:
        self._numbers: dict[str, int | float] = {}

    def item(self) -> dict[str, Any]:
        return {name: {"N": repr(value)} for name, value in self._numbers.items()}

    def update(self, asked: Any) -> bool:
        """Whether the condition held and the item was written."""
        values = {name: float(value["N"]) for name, value in asked["ExpressionAttributeValues"].items()}
        if ":factor" in values:
            self._numbers |= {"rateFactor": values[":factor"], "throttledAt": int(values[":now"])}
            return True
        if ":rate" in values:
            self._numbers |= {"rate": values[":rate"], "rateAt": int(values[":at"])}
            return True
        until = self._numbers.get("until")
        if ":length" in values:
            if until is None or not values[":now"] <= until <= values[":latest"]:
                return False
            if until > values.get(":limit", until) and self._numbers.get("bulkDue", 0) > values[":now"]:
                return False
            self._numbers["until"] = int(until + values[":length"])
        else:
            if until is not None and values[":now"] <= until <= values[":absurd"]:
                return False
            self._numbers["until"] = int(values[":end"])
        if ":due" in values:
            self._numbers["bulkDue"] = int(values[":due"])
        return True
