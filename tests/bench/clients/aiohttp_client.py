"""Posts every line of an OpenAI batch file with aiohttp, and writes the answers in order of completion.

usage: aiohttp_client.py INPUT --endpoint URL -o OUTPUT --concurrency N
"""
import argparse
import asyncio
import json

import aiohttp


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("input")
    parser.add_argument("--endpoint", required=True, help="http://HOST:PORT, with or without /v1")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--concurrency", type=int, required=True, help="calls in flight")
    return parser.parse_args()


async def slot(lines, session, base, output):
    """One call at a time, as long as there are lines, which all slots share."""
    for line in lines:
        item = json.loads(line)
        async with session.post(base + item["url"], json=item["body"], allow_redirects=False) as reply:
            if reply.status != 200:
                raise RuntimeError(f"{item['custom_id']}: status {reply.status}: {await reply.text()}")
            answer = await reply.json()
        content = answer["choices"][0]["message"]["content"]
        output.write(json.dumps({"custom_id": item["custom_id"], "content": content}) + "\n")


async def run(options):
    base = options.endpoint.rstrip("/").removesuffix("/v1")  # which the lines' url brings along
    with open(options.input, encoding="utf-8") as lines, open(options.output, "w", encoding="utf-8") as output:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=options.concurrency),
                                         timeout=aiohttp.ClientTimeout(total=600)) as session:
            await asyncio.gather(*(slot(lines, session, base, output) for _ in range(options.concurrency)))


if __name__ == "__main__":
    asyncio.run(run(parse_arguments()))
