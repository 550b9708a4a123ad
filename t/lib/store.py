"""Looks into the databases and the queue for the Test::Nginx suites: one
request per line on standard input, a JSON array of a function's name and its
arguments; one line of JSON for each answer.  Bytes are in base64."""

import base64
import datetime
import hashlib
import json
import os
import sys

import bson
import pika
import pymongo

client = pymongo.MongoClient(os.environ["V2M_TEST_MONGO_URI"],
                             serverSelectionTimeoutMS=20000)
jobs = client["v2m"]["jobs"]


def plain(value):
    """[type, value] as BSON has it, so that a test sees an int32 as one."""
    if isinstance(value, bson.ObjectId):
        return ["objectId", str(value)]
    if isinstance(value, datetime.datetime):
        return ["date", value.timestamp()]
    if isinstance(value, bson.Int64):
        return ["int64", int(value)]
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, int):
        return ["int32", value]
    if isinstance(value, dict):
        return ["document", {name: plain(each) for name, each in value.items()}]
    if isinstance(value, list):
        return ["array", [plain(each) for each in value]]
    return [type(value).__name__, value]


def fields(document):
    return document and {name: plain(each) for name, each in document.items()}


def job(job_id):
    return fields(jobs.find_one({"_id": bson.ObjectId(job_id)}))


def jobs_of(username):
    return [str(found["_id"]) for found in jobs.find({"username": username})]


def file(database, file_id):
    """The files document, and of each chunk its number, length and fields."""
    file_id = bson.ObjectId(file_id)
    digest = hashlib.sha256()
    chunks = []
    for chunk in client[database]["fs.chunks"].find(
            {"files_id": file_id}, sort=[("n", 1)]):
        digest.update(chunk["data"])
        chunks.append([chunk["n"], len(chunk["data"]),
                       ",".join(sorted(chunk))])
    found = client[database]["fs.files"].find_one({"_id": file_id})
    return {"file": fields(found), "chunks": chunks,
            "sha256": digest.hexdigest()}


def put_job(username, state, extra, mp3=None, chunk_size=261120):
    """Makes a job's record, and an MP3 if there is one; returns their ids."""
    now = datetime.datetime.now(datetime.timezone.utc)
    record = {
        "_id": bson.ObjectId(), "version": 1, "username": username,
        "state": state, "notified": "none", "published": True,
        "created": now, "updated": now, "options": {}, **extra,
    }
    mp3_id = None
    if mp3 is not None:
        mp3 = base64.b64decode(mp3)
        mp3_id = bson.ObjectId()
        bucket = client["mp3s"]
        chunks = [
            {"files_id": mp3_id, "n": n,
             "data": mp3[n * chunk_size:(n + 1) * chunk_size]}
            for n in range((len(mp3) + chunk_size - 1) // chunk_size)
        ]
        for first in range(0, len(chunks), 32):
            bucket["fs.chunks"].insert_many(chunks[first:first + 32])
        bucket["fs.files"].insert_one({
            "_id": mp3_id, "length": len(mp3), "chunkSize": chunk_size,
            "uploadDate": now,
        })
        record["mp3_fid"] = mp3_id
        record["mp3_size"] = bson.Int64(len(mp3))
    jobs.insert_one(record)
    return [str(record["_id"]), mp3_id and str(mp3_id)]


def put_jobs(username, state, count):
    """Makes many jobs' records."""
    now = datetime.datetime.now(datetime.timezone.utc)
    jobs.insert_many([{
        "_id": bson.ObjectId(), "version": 1, "username": username,
        "state": state, "notified": "none", "published": True,
        "created": now, "updated": now, "options": {},
    } for _ in range(count)])


def put_video(file_id, content):
    content = base64.b64decode(content)
    file_id = bson.ObjectId(file_id)
    bucket = client["videos"]
    bucket["fs.chunks"].insert_one(
        {"files_id": file_id, "n": 0, "data": content})
    bucket["fs.files"].insert_one({
        "_id": file_id, "length": len(content), "chunkSize": 261120,
        "uploadDate": datetime.datetime.now(datetime.timezone.utc),
    })


def change_job(job_id, changes):
    jobs.update_one({"_id": bson.ObjectId(job_id)}, {"$set": changes})


def update_job(job_id, changes):
    """As change_job(), and notes the time, as every change by v2m does."""
    now = datetime.datetime.now(datetime.timezone.utc)
    change_job(job_id, {**changes, "updated": now})


def age_job(job_id, seconds):
    """Moves the time of its last change back."""
    now = datetime.datetime.now(datetime.timezone.utc)
    change_job(job_id, {"updated": now - datetime.timedelta(seconds=seconds)})


def note_attempt(job_id, file_id):
    jobs.update_one({"_id": bson.ObjectId(job_id)},
                    {"$set": {"attempts": [bson.ObjectId(file_id)]}})


def change_file(database, file_id, changes):
    client[database]["fs.files"].update_one(
        {"_id": bson.ObjectId(file_id)}, {"$set": changes})


def remove_job(job_id):
    jobs.delete_one({"_id": bson.ObjectId(job_id)})


def remove_file(database, file_id):
    client[database]["fs.files"].delete_one({"_id": bson.ObjectId(file_id)})


def chunk(database, file_id, n):
    found = client[database]["fs.chunks"]
    return found, found.find_one({"files_id": bson.ObjectId(file_id), "n": n})


def remove_chunk(database, file_id, n):
    found, document = chunk(database, file_id, n)
    found.delete_one({"_id": document["_id"]})


def remove_chunks(database, file_id):
    client[database]["fs.chunks"].delete_many(
        {"files_id": bson.ObjectId(file_id)})


def shorten_chunk(database, file_id, n):
    found, document = chunk(database, file_id, n)
    found.update_one({"_id": document["_id"]},
                     {"$set": {"data": document["data"][:-1]}})


def clean(usernames, files):
    """Removes everything that a suite made."""
    found = jobs.find({"username": {"$in": usernames}}) if usernames else []
    for record in list(found):
        files += [["videos", str(record["_id"])]]
        if record.get("mp3_fid"):
            files += [["mp3s", str(record["mp3_fid"])]]
        jobs.delete_one({"_id": record["_id"]})
    for database, file_id in files:
        remove_file(database, file_id)
        remove_chunks(database, file_id)


def messages(queue):
    """Takes all messages from the queue; it may not be there yet."""
    taken = []
    connection = pika.BlockingConnection(
        pika.URLParameters(os.environ["V2M_TEST_AMQP_URL"]))
    channel = connection.channel()
    while True:
        try:
            method, properties, body = channel.basic_get(queue, auto_ack=True)
        except pika.exceptions.ChannelClosedByBroker as error:
            if error.reply_code != 404:
                raise
            break
        if method is None:
            break
        taken.append({
            "body": body.decode(), "delivery_mode": properties.delivery_mode,
            "message_id": properties.message_id,
            "content_type": properties.content_type,
        })
    connection.close()
    return taken


for line in sys.stdin:
    name, *arguments = json.loads(line)
    try:
        answer = {"result": globals()[name](*arguments)}
    except Exception as error:  # the suite says which call failed
        answer = {"error": f"{name}: {error!r}"}
    print(json.dumps(answer), flush=True)
