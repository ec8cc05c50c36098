"""The line of send slots, `rate#line`, kept as DynamoDB would keep it under the gate's own expressions."""

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
        expression: str = asked["UpdateExpression"]
        if "#openness" in expression:
            self._numbers |= {"openness": values[":openness"], "throttledAt": int(values[":now"])}
            return True
        holds = self._is_open(values) if ":length" in values else self._is_behind(values)
        if holds:
            self._hand_out(values)
        return holds

    def _is_open(self, values: dict[str, float]) -> bool:
        until = self._numbers.get("until")
        if until is None or not values[":earliest"] <= until <= values[":last"]:
            return False
        if ":latest" not in values:
            return True
        return until <= values[":latest"] or self._numbers.get("bulkDue", 0) <= values[":now"]

    def _is_behind(self, values: dict[str, float]) -> bool:
        until = self._numbers.get("until")
        return until is None or until < values[":earliest"] or until > values[":absurd"]

    def _hand_out(self, values: dict[str, float]) -> None:
        if ":length" in values:
            self._numbers["until"] = int(self._numbers["until"] + values[":length"])
        else:
            self._numbers["until"] = int(values[":end"])
        if ":due" in values:
            self._numbers["bulkDue"] = int(values[":due"])
            self._numbers["bulkClaims"] = self._numbers.get("bulkClaims", 0) + 1
        if ":rate" in values:
            self._numbers |= {"rate": values[":rate"], "rateAt": int(values[":rateAt"])}
