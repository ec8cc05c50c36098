"""SESMailEngine: an async-first, serverless email engine on Amazon SES."""
