"""An upload by tuspy, run by its own Python: standard input is JSON, with
"address", "token", "file", "chunk", "checksum", "metadata", and "upload", the
address of one that is under way.  Prints the upload's address, then its
offsets."""

import json
import sys

from tusclient.client import TusClient

given = json.load(sys.stdin)
client = TusClient(given["address"],
                   headers={"Authorization": f"Bearer {given['token']}"})
uploader = client.uploader(
    given["file"], chunk_size=given["chunk"], url=given.get("upload"),
    metadata=given.get("metadata", {}), upload_checksum=given["checksum"],
    retries=100, retry_delay=0.2)

if not uploader.url:
    uploader.set_url(uploader.create_url())
print(uploader.url, flush=True)

while uploader.offset < uploader.get_file_size():
    uploader.upload_chunk()
    print(uploader.offset, flush=True)
