"""The store in use must decide every race for a document exactly once: the
job record stands on that.  Eight clients race, each on a connection of its
own."""

import concurrent.futures
import threading

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
