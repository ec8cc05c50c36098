#!/usr/bin/env bash
# Ask for an email with the AWS CLI: examples/publish.sh sesmailengine-EmailBus ada@example.com
set -euo pipefail
bus=$1 to=$2

# The detail is JSON as text inside JSON; Python writes both, so that no quote has to be escaped by hand.
entries=$(python3 - "$bus" "$to" <<'PYTHON'
import json, sys
bus, to = sys.argv[1:]
detail = {
    "to": to,
    "templateName": "welcome",
    "templateData": {"userName": "Ada", "companyName": "Northwind"},
    "idempotencyKey": f"signup-{to}",
}
print(json.dumps([{"EventBusName": bus, "Source": "shop", "DetailType": "Email Request", "Detail": json.dumps(detail)}]))
PYTHON
)

# PutEvents answers 200 though it took nothing: look at FailedEntryCount.
failed=$(aws events put-events --entries "$entries" --query FailedEntryCount --output text)
if [ "$failed" != 0 ]; then
  echo "EventBridge did not take the request" >&2
  exit 1
fi
echo "asked for an email to $to"
