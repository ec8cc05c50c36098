"""What SES reports: reports, the bounce policy, the retry, and the pipeline."""
