"""The store in use must decide every race for a document exactly once: the
job record stands on that.  Eight clients race, each on a connection of its
own."""

import concurrent.futures
import threading

import bson
import gridfs
import pymongo
import pytest

CLIENTS = 8
ROUNDS = 60


@pytest.fixture(scope="module")
def racers(stack):
    """The same collection, seen by each client."""
    clients = [pymongo.MongoClient(stack.env["V2M_MONGO_URI"])
               for _ in range(CLIENTS)]
    racers = [client["v2m_test"]["race"] for client in clients]
    racers[0].drop()
    yield racers
    clients[0].drop_database("v2m_test")
    for client in clients:
        client.close()


def race(racers, move):
    """Lets every client make its move at the same moment."""
    barrier = threading.Barrier(len(racers))

    def start(number):
        barrier.wait()
        return move(racers[number], number)

    with concurrent.futures.ThreadPoolExecutor(len(racers)) as pool:
        return list(pool.map(start, range(len(racers))))


def assert_one_winner_each(racers, name, take):
    for number in range(ROUNDS):
        document = {"_id": f"{name}-{number}", "state": "free"}
        racers[0].insert_one(document)
        won = race(racers, lambda collection, client: take(
            collection, {"_id": document["_id"], "state": "free"}, client))
        assert won.count(True) == 1, f"round {number}"
        kept = racers[0].find_one({"_id": document["_id"]})
        assert kept is None or kept["state"] == won.index(True)


def test_update_has_one_winner(racers):
    assert_one_winner_each(racers, "update", lambda collection, free, client:
        collection.update_one(free, {"$set": {"state": client}})
        .modified_count == 1)


def test_find_and_modify_has_one_winner(racers):
    assert_one_winner_each(racers, "modify", lambda collection, free, client:
        collection.find_one_and_update(free, {"$set": {"state": client}})
        is not None)


def test_delete_has_one_winner(racers):
    assert_one_winner_each(racers, "delete", lambda collection, free, client:
        collection.delete_one(free).deleted_count == 1)


def test_no_increment_is_lost(racers):
    racers[0].insert_one({"_id": "sum", "value": 0})

    def add(collection, _):
        for _ in range(ROUNDS):
            collection.update_one({"_id": "sum"}, {"$inc": {"value": 1}})

    race(racers, add)
    assert racers[0].find_one({"_id": "sum"})["value"] == CLIENTS * ROUNDS


def test_upserts_make_one_document(racers):
    for number in range(ROUNDS):
        def upsert(collection, client):
            try:
                return collection.update_one(
                    {"_id": f"upsert-{number}"},
                    {"$setOnInsert": {"state": client}},
                    upsert=True,
                ).upserted_id is not None
            except pymongo.errors.DuplicateKeyError:
                return False

        assert race(racers, upsert).count(True) == 1, f"round {number}"


# GridFS: the store answers the queries of a driver for chunks as MongoDB does,
# also those that the embedded server answers with an index of its own.

@pytest.fixture
def chunks(stack):
    database = stack.mongo["v2m_test_gridfs"]
    database["fs.chunks"].create_index([("files_id", 1), ("n", 1)], unique=True)
    yield database["fs.chunks"]
    stack.mongo.drop_database("v2m_test_gridfs")


def insert(collection, file_id, numbers, size=10):
    collection.insert_many([
        {"files_id": file_id, "n": n, "data": bytes([n % 256]) * size}
        for n in numbers])


def numbers(found):
    return [document["n"] for document in found]


def test_chunks_are_found_by_file_and_number(chunks):
    one, two = bson.ObjectId(), bson.ObjectId()
    insert(chunks, one, [3, 1, 0, 2, 4])
    insert(chunks, two, [0, 1])

    in_order = [("n", 1)]
    assert numbers(chunks.find({"files_id": one}, sort=in_order)) == [0, 1, 2, 3, 4]
    assert numbers(chunks.find({"files_id": two}, sort=in_order)) == [0, 1]
    assert numbers(chunks.find({"files_id": one}, sort=[("n", -1)])) == [4, 3, 2, 1, 0]
    assert numbers(chunks.find({"files_id": one, "n": 2})) == [2]
    assert numbers(chunks.find({"files_id": one, "n": {"$gte": 1, "$lt": 3}},
                               sort=in_order)) == [1, 2]
    assert numbers(chunks.find({"files_id": one, "n": {"$gt": 2}},
                               sort=in_order, limit=1)) == [3]
    assert numbers(chunks.find({"files_id": one}, sort=in_order, skip=3)) == [3, 4]
    assert numbers(chunks.find({"files_id": bson.ObjectId()})) == []
    assert chunks.find_one({"files_id": one, "n": 3})["data"] == b"\3" * 10
    assert chunks.find_one({"files_id": one, "n": 3}, {"n": 1}).keys() == {"_id", "n"}
    assert chunks.count_documents({"files_id": one}) == 5


def test_chunks_come_in_batches(chunks):
    file_id = bson.ObjectId()
    insert(chunks, file_id, range(250))
    found = chunks.find({"files_id": file_id}, sort=[("n", 1)], batch_size=7)
    assert numbers(found) == list(range(250))
    assert numbers(chunks.find({"files_id": file_id}, sort=[("n", 1)])) == list(range(250))


def test_large_chunks_come_in_replies_that_drivers_take(chunks):
    file_id = bson.ObjectId()
    for n in range(20):
        insert(chunks, file_id, [n], size=1024 * 1024)
    found = list(chunks.find({"files_id": file_id}, sort=[("n", 1)]))
    assert numbers(found) == list(range(20))
    assert all(len(document["data"]) == 1024 * 1024 for document in found)


def test_deleted_chunks_are_gone(chunks):
    one, two = bson.ObjectId(), bson.ObjectId()
    insert(chunks, one, range(5))
    insert(chunks, two, range(3))
    assert chunks.delete_many({"files_id": one}).deleted_count == 5
    assert chunks.delete_many({"files_id": one}).deleted_count == 0
    assert numbers(chunks.find({"files_id": one})) == []
    assert numbers(chunks.find({"files_id": two}, sort=[("n", 1)])) == [0, 1, 2]
    assert chunks.delete_one({"files_id": two, "n": 1}).deleted_count == 1
    assert numbers(chunks.find({"files_id": two}, sort=[("n", 1)])) == [0, 2]
    insert(chunks, one, range(2))
    assert numbers(chunks.find({"files_id": one}, sort=[("n", 1)])) == [0, 1]


def test_a_chunk_that_is_there_twice_is_refused(chunks):
    file_id = bson.ObjectId()
    insert(chunks, file_id, range(3))
    with pytest.raises(pymongo.errors.BulkWriteError):
        insert(chunks, file_id, [3, 2, 4])
    found = chunks.find({"files_id": file_id}, sort=[("n", 1)])
    assert numbers(found)[:3] == [0, 1, 2]
    assert all(document["data"] == bytes([document["n"]]) * 10
               for document in chunks.find({"files_id": file_id}))


def test_chunks_are_found_while_others_are_written_and_deleted(chunks):
    """Writers never see another's chunks, nor miss their own."""
    def work(number):
        for _ in range(10):
            file_id = bson.ObjectId()
            insert(chunks, file_id, range(number + 1))
            found = chunks.find({"files_id": file_id}, sort=[("n", 1)])
            assert numbers(found) == list(range(number + 1))
            assert chunks.delete_many({"files_id": file_id}).deleted_count == number + 1
        return True

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        assert all(pool.map(work, range(CLIENTS)))
    assert chunks.count_documents({}) == 0


def test_gridfs_of_a_driver_works(stack):
    database = stack.mongo["v2m_test_gridfs"]
    files = gridfs.GridFS(database)
    data = bytes(range(256)) * 4096
    file_id = files.put(data, filename="a.bin", chunk_size=10_000)
    assert files.get(file_id).read() == data
    stream = files.get(file_id)
    stream.seek(500_500)
    assert stream.read(2000) == data[500_500:502_500]
    files.delete(file_id)
    assert not files.exists(file_id)
    assert database["fs.chunks"].count_documents({"files_id": file_id}) == 0
    stack.mongo.drop_database("v2m_test_gridfs")
