"""What is known of an email: lifecycle, claim, ledger, status event, bounce quota."""
