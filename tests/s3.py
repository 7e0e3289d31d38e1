"""An S3 of the tests' own: moto's server on this machine, reached as Amazon's would be, through the environment.

It stands for Amazon's and is not it: it is consistent at once, and knows who may do what only while it is told to.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen


class S3:
    """A server.

    Attributes
    ----------
    url
        Where it listens.
    environment
        What a process needs in its environment to find it; while it runs this one has it.
    """

    def __init__(self) -> None:
        self._port = 0
        self._start()
        self.url = f"http://127.0.0.1:{self._port}"
        self.environment = {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing-secret",
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",  # s3fs tries five times on top of botocore's five: ten seconds in all
        }

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

    def read(self, address: str) -> bytes:
        """An object's bytes."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        return bytes(self.client().get_object(Bucket=bucket, Key=key)["Body"].read())

    def write(self, address: str, data: bytes) -> None:
        """Put an object there, as another program would."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        self.client().put_object(Bucket=bucket, Key=key, Body=data)

    def remove(self, address: str) -> None:
        """Take an object away."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        self.client().delete_object(Bucket=bucket, Key=key)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Refuses connections meanwhile; what is in it stays."""
        self.stop()
        try:
            yield
        finally:
            self._start()

    @contextmanager
    def denying(self) -> Iterator[None]:
        """Asks who may do what meanwhile, and knows nobody: everything is answered with 403."""
        self._authorise("0")
        try:
            yield
        finally:
            self._authorise("inf")

    def _authorise(self, after: str) -> None:
        """See moto's documentation, "IAM-like access control": requests are let through until so many were counted."""
        headers = {"Content-Type": "text/plain"}
        with urlopen(Request(f"{self.url}/moto-api/reset-auth", after.encode(), headers, method="POST"), timeout=60):
            pass

    def _start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()
        _, self._port = self._server.get_host_and_port()

    def stop(self) -> None:
        """Answer nobody any more."""
        self._server.stop()
        assert self._server._server is not None
        self._server._server.server_close()  # moto leaves the port open: who connects would wait for an answer


@contextmanager
def serving() -> Iterator[S3]:
    """A server that ends with the block, and the environment in which s3fs and boto3 find it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line a request
    server = S3()
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)
    try:
        yield server
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        server.stop()
