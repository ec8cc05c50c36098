"""AWS around a Lambda function, on this machine: services as late as one says, and Lambda's Runtime API."""
