"""The world around a Lambda function, on this machine: AWS's services with settable latencies, and Lambda."""
