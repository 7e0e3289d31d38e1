"""An S3 of the tests' own: moto's server on this machine, reached as Amazon's would be, through the environment.

It stands for Amazon's and is not it: it checks no signatures, and is consistent at once.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class S3:
    """A running server.

    Attributes
    ----------
    url
        Where it listens.
    environment
        What a process needs in its environment to find it; it is in this one's.
    """

    url: str
    environment: dict[str, str]

    def new_bucket(self) -> str:
        """Make a bucket; its address."""
        name = f"clips-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def client(self) -> Any:
        """boto3's client: what is in the buckets as another program sees it, past fsspec and our code."""
        import boto3

        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")

    def names(self, address: str) -> list[str]:
        """The names of all objects below an address, sorted."""
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return sorted(key.removeprefix(prefix).lstrip("/") for key in keys)


@contextmanager
def serving() -> Iterator[S3]:
    """A server that ends with the block, and the environment in which s3fs and boto3 find it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line a request

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        yield S3(url, environment)
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
        server.stop()
