"""Ask for emails from Python: `python examples/publish.py sesmailengine-EmailBus`."""

import asyncio
import sys

from engine.client import EmailClient, EmailRequest, NotAcceptedError

CUSTOMERS = {"4711": "ada@example.com", "4712": "bob@example.com"}


async def main(bus: str) -> None:
    async with EmailClient(bus, source="shop") as emails:
        # One email. The key names what it is about: asked for again, it is not sent again.
        welcome = EmailRequest(
            to="ada@example.com",
            template_name="welcome",
            template_data={"userName": "Ada", "companyName": "Northwind"},
            idempotency_key="signup-4711",
        )
        try:
            print("welcome:", await emails.send(welcome))
        except NotAcceptedError as error:
            print(error)  # names every request that EventBridge did not take, and why

        # Many, from any iterator: published in calls of ten, with flat memory.
        newsletter = (
            EmailRequest(
                to=address,
                template_name="newsletter",
                template_data={
                    "title": "Spring",
                    "articles": [{"title": "A kiln by the water", "summary": "Forty mugs a day."}],
                    "unsubscribeUrl": f"https://shop.example.com/unsubscribe?customer={number}",
                },
                priority="bulk",
                idempotency_key=f"spring-{number}",
            )
            for number, address in CUSTOMERS.items()
        )
        report = await emails.send_many(newsletter)
        print(f"newsletter: {report.accepted} accepted, complete: {report.complete}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
