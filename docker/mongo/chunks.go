package main

import (
	"context"
	"errors"
	"log"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// FerretDB 1 finds a document fast only by its _id; for any other query it
// reads the whole collection, and for a sorted one keeps it in memory.  With
// GridFS that makes the work for a file of n chunks grow with n squared.  So
// the relay keeps an index of each collection of chunks, (files_id, n) to _id,
// in memory, and answers the queries and deletions of GridFS with it: chunk by
// chunk, by their _id.

const (
	firstBatch = 101              // documents, as in MongoDB
	batchBytes = 16 * 1024 * 1024 // about so much in a reply
	maxCursors = 1000
)

type objectID = primitive.ObjectID

// chunks is the index of one collection.
type chunks struct {
	sync.RWMutex            // for reading: to insert; for writing: to load
	maps         sync.Mutex // guards the rest
	loaded       bool
	files        map[objectID]map[int32]objectID
}

type cursor struct {
	command *command
	ids     []objectID
	fields  bson.Raw // the projection
}

type chunkStore struct {
	client *mongo.Client

	mu          sync.Mutex
	collections map[string]*chunks
	cursors     map[int64]*cursor
}

// A forward passes a request on to FerretDB.
type forward func() ([]byte, error)

func newChunkStore(ctx context.Context, socket string) (*chunkStore, error) {
	client, err := mongo.Connect(ctx, options.Client().
		ApplyURI("mongodb://ferretdb/?directConnection=true").
		SetDialer(dialer(socket)))
	if err != nil {
		return nil, err
	}

	return &chunkStore{
		client:      client,
		collections: map[string]*chunks{},
		cursors:     map[int64]*cursor{},
	}, nil
}

type dialer string

func (d dialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", string(d))
}

// handle answers a request itself or lets it pass; c is what it says, or nil.
func (s *chunkStore) handle(request []byte, c *command, pass forward) ([]byte, error) {
	if c == nil {
		return pass()
	}

	switch c.name {
	case "getMore":
		return s.more(request, c, pass)
	case "killCursors":
		s.kill(c)
		return pass()
	case "dropDatabase":
		defer s.forget(c.database + ".")
		return pass()
	}

	if !strings.HasSuffix(c.collection, ".chunks") {
		return pass()
	}

	switch c.name {
	case "insert":
		return s.insert(c, pass)
	case "find":
		return s.find(request, c, pass)
	case "delete":
		return s.delete(request, c, pass)
	case "update", "findAndModify", "findandmodify", "drop", "renameCollection":
		defer s.forget(c.database + "." + c.collection)
	}
	return pass()
}

// index returns the index of the command's collection.
func (s *chunkStore) index(c *command) *chunks {
	s.mu.Lock()
	defer s.mu.Unlock()

	name := c.database + "." + c.collection
	found := s.collections[name]
	if found == nil {
		found = &chunks{}
		s.collections[name] = found
	}
	return found
}

// forget drops what is known of collections whose name begins like this.
func (s *chunkStore) forget(prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	for name, found := range s.collections {
		if strings.HasPrefix(name, prefix) {
			found.maps.Lock()
			found.loaded = false
			found.maps.Unlock()
		}
	}
}

// add takes a chunk's document; false: it is none.
func (x *chunks) add(document bsoncore.Document) bool {
	id, ok1 := document.Lookup("_id").ObjectIDOK()
	file, ok2 := document.Lookup("files_id").ObjectIDOK()
	n, ok3 := document.Lookup("n").AsInt64OK()
	if !ok1 || !ok2 || !ok3 || n < math.MinInt32 || n > math.MaxInt32 {
		return false
	}

	if x.files[file] == nil {
		x.files[file] = map[int32]objectID{}
	}
	x.files[file][int32(n)] = id
	return true
}

func (s *chunkStore) insert(c *command, pass forward) ([]byte, error) {
	x := s.index(c)
	x.RLock()
	defer x.RUnlock()

	reply, err := pass()

	x.maps.Lock()
	defer x.maps.Unlock()

	if x.loaded {
		result := body(reply)
		inserted, _ := result.Lookup("n").AsInt64OK()
		x.loaded = err == nil && int(inserted) == len(c.documents)
		for _, document := range c.documents {
			x.loaded = x.loaded && x.add(document)
		}
	}
	return reply, err
}

// load makes the index when it is not there.  The caller holds both locks, the
// first for writing.
func (s *chunkStore) load(c *command, x *chunks) error {
	if x.loaded {
		return nil
	}

	ctx := context.Background()
	found, err := s.collection(c).Find(ctx, bson.D{}, options.Find().
		SetProjection(bson.D{{Key: "files_id", Value: 1}, {Key: "n", Value: 1}}))
	if err != nil {
		return err
	}
	defer found.Close(ctx)

	x.files = map[objectID]map[int32]objectID{}
	for found.Next(ctx) {
		if !x.add(bsoncore.Document(found.Current)) {
			return errors.New("there is a document that is no chunk")
		}
	}
	x.loaded = found.Err() == nil
	return found.Err()
}

func (s *chunkStore) collection(c *command) *mongo.Collection {
	return s.client.Database(c.database).Collection(c.collection)
}

// bounds are those that a query sets for n.
type bounds struct{ least, most int64 }

var everything = bounds{math.MinInt32, math.MaxInt32}

// query reads a filter {files_id: …} or {files_id: …, n: …}.
func query(filter bsoncore.Document) (file objectID, b bounds, ok bool) {
	elements, err := filter.Elements()
	if err != nil || len(elements) == 0 || len(elements) > 2 {
		return file, b, false
	}

	b = everything
	file, ok = filter.Lookup("files_id").ObjectIDOK()
	if len(elements) == 1 || !ok {
		return file, b, ok
	}

	n, err := filter.LookupErr("n")
	if err != nil {
		return file, b, false
	}
	if value, ok := n.AsInt64OK(); ok {
		return file, bounds{value, value}, true
	}

	conditions, ok := n.DocumentOK()
	if !ok {
		return file, b, false
	}
	elements, err = conditions.Elements()
	if err != nil {
		return file, b, false
	}
	for _, element := range elements {
		value, ok := element.Value().AsInt64OK()
		if !ok || !b.narrow(element.Key(), value) {
			return file, b, false
		}
	}
	return file, b, true
}

func (b *bounds) narrow(operator string, value int64) bool {
	switch operator {
	case "$gte":
		b.least = max(b.least, value)
	case "$gt":
		b.least = max(b.least, value+1)
	case "$lte":
		b.most = min(b.most, value)
	case "$lt":
		b.most = min(b.most, value-1)
	default:
		return false
	}
	return true
}

// ids are the chunks found, in the order of n.
func (s *chunkStore) ids(c *command, file objectID, b bounds) ([]objectID, error) {
	x := s.index(c)

	x.maps.Lock()
	if x.loaded {
		defer x.maps.Unlock()
		return x.find(file, b), nil
	}
	x.maps.Unlock()

	// no insert may be under way while the index is made
	x.Lock()
	defer x.Unlock()
	x.maps.Lock()
	defer x.maps.Unlock()

	if err := s.load(c, x); err != nil {
		return nil, err
	}
	return x.find(file, b), nil
}

func (x *chunks) find(file objectID, b bounds) []objectID {
	var numbers []int32
	for n := range x.files[file] {
		if int64(n) >= b.least && int64(n) <= b.most {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)

	ids := make([]objectID, len(numbers))
	for i, n := range numbers {
		ids[i] = x.files[file][n]
	}
	return ids
}

// number returns a number of the command's body, or another where there is
// none.
func (c *command) number(key string, otherwise int64) int64 {
	if value, ok := c.body.Lookup(key).AsInt64OK(); ok {
		return value
	}
	return otherwise
}

// direction reads {n: 1} or {n: -1}; 0: the sort is another one.
func (c *command) direction() int64 {
	sort, ok := c.body.Lookup("sort").DocumentOK()
	if !ok {
		return 1
	}
	elements, err := sort.Elements()
	if err != nil || len(elements) > 1 {
		return 0
	}
	if len(elements) == 0 {
		return 1
	}
	if elements[0].Key() != "n" {
		return 0
	}
	value, _ := elements[0].Value().AsInt64OK()
	return value
}

func (s *chunkStore) find(request []byte, c *command, pass forward) ([]byte, error) {
	filter, _ := c.body.Lookup("filter").DocumentOK()
	file, b, ok := query(filter)
	direction := c.direction()
	if !ok || direction == 0 {
		return pass()
	}

	ids, err := s.ids(c, file, b)
	if err != nil {
		log.Printf("no index of %s.%s: %v", c.database, c.collection, err)
		return pass()
	}

	if direction < 0 {
		slices.Reverse(ids)
	}
	ids = ids[min(int(c.number("skip", 0)), len(ids)):]
	if limit := int(c.number("limit", 0)); limit != 0 {
		ids = ids[:min(max(limit, -limit), len(ids))]
	}

	fields, _ := c.body.Lookup("projection").DocumentOK()
	single, _ := c.body.Lookup("singleBatch").BooleanOK()
	return s.batch(request, "firstBatch", &cursor{c, ids, bson.Raw(fields)},
		int(c.number("batchSize", firstBatch)), single)
}

// batch answers with the next documents of a cursor.
func (s *chunkStore) batch(request []byte, key string, k *cursor, size int, last bool) ([]byte, error) {
	var id int64

	list := bsoncore.NewArrayBuilder()
	for count, bytes := 0, 0; len(k.ids) > 0 && count < size && bytes < batchBytes; {
		document, err := s.fetch(k)
		if errors.Is(err, mongo.ErrNoDocuments) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		list.AppendDocument(bsoncore.Document(document))
		bytes += len(document)
		count++
	}

	if len(k.ids) > 0 && !last {
		id = s.keep(k)
	}

	found := bsoncore.NewDocumentBuilder().
		AppendArray(key, list.Build()).
		AppendInt64("id", id).
		AppendString("ns", k.command.database+"."+k.command.collection).
		Build()
	return answer(request, bsoncore.NewDocumentBuilder().
		AppendDocument("cursor", found).AppendDouble("ok", 1).Build()), nil
}

func (s *chunkStore) fetch(k *cursor) (bson.Raw, error) {
	id := k.ids[0]
	k.ids = k.ids[1:]

	options := options.FindOne()
	if len(k.fields) > 0 {
		options.SetProjection(k.fields)
	}
	return s.collection(k.command).FindOne(context.Background(),
		bson.D{{Key: "_id", Value: id}}, options).Raw()
}

// keep remembers a cursor.  FerretDB's own have small numbers.
func (s *chunkStore) keep(k *cursor) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()

	for id := range s.cursors {
		if len(s.cursors) < maxCursors {
			break
		}
		delete(s.cursors, id)
	}

	id := math.MaxInt64 - rand.Int64N(math.MaxInt64/2)
	s.cursors[id] = k
	return id
}

func (s *chunkStore) take(id int64) *cursor {
	s.mu.Lock()
	defer s.mu.Unlock()

	k := s.cursors[id]
	delete(s.cursors, id)
	return k
}

func (s *chunkStore) more(request []byte, c *command, pass forward) ([]byte, error) {
	id, _ := c.body.Lookup("getMore").AsInt64OK()
	k := s.take(id)
	if k == nil {
		return pass()
	}
	return s.batch(request, "nextBatch", k, int(c.number("batchSize", math.MaxInt32)), false)
}

func (s *chunkStore) kill(c *command) {
	cursors, _ := c.body.Lookup("cursors").ArrayOK()
	values, _ := cursors.Values()
	for _, value := range values {
		id, _ := value.AsInt64OK()
		s.take(id)
	}
}

// listed reads a filter {_id: {$in: […]}}.
func listed(filter bsoncore.Document) (ids []objectID, ok bool) {
	elements, err := filter.Elements()
	if err != nil || len(elements) != 1 || elements[0].Key() != "_id" {
		return nil, false
	}
	in, ok := filter.Lookup("_id", "$in").ArrayOK()
	if !ok {
		return nil, false
	}
	values, err := in.Values()
	if err != nil {
		return nil, false
	}
	for _, value := range values {
		id, ok := value.ObjectIDOK()
		if !ok {
			return nil, false
		}
		ids = append(ids, id)
	}
	return ids, true
}

// delete answers deletions of a file's chunks, all of them or those within
// bounds of n, and of chunks by their _id.
func (s *chunkStore) delete(request []byte, c *command, pass forward) ([]byte, error) {
	finds := make([]func() ([]objectID, error), 0, len(c.documents))
	for _, document := range c.documents {
		filter, _ := document.Lookup("q").DocumentOK()
		limit, _ := document.Lookup("limit").AsInt64OK()
		file, b, ok1 := query(filter)
		ids, ok2 := listed(filter)
		if !(ok1 || ok2) || limit != 0 {
			defer s.forget(c.database + "." + c.collection)
			return pass()
		}
		finds = append(finds, func() ([]objectID, error) {
			if ok2 {
				return ids, nil
			}
			return s.ids(c, file, b)
		})
	}

	var deleted int64
	for _, find := range finds {
		ids, err := find()
		if err != nil {
			return nil, err
		}
		count, err := s.deleteChunks(c, ids)
		if err != nil {
			return nil, err
		}
		deleted += count
	}

	return answer(request, bsoncore.NewDocumentBuilder().
		AppendInt32("n", int32(deleted)).AppendDouble("ok", 1).Build()), nil
}

// deleteChunks deletes chunks.  Others may insert meanwhile: those of a large
// file take seconds.
func (s *chunkStore) deleteChunks(c *command, ids []objectID) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}

	deleted, err := deleteIDs(context.Background(), c.database, c.collection, ids)
	if err != nil {
		s.forget(c.database + "." + c.collection)
		return 0, err
	}

	gone := make(map[objectID]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}

	x := s.index(c)
	x.maps.Lock()
	defer x.maps.Unlock()

	for file, numbers := range x.files {
		for n, id := range numbers {
			if gone[id] {
				delete(numbers, n)
			}
		}
		if len(numbers) == 0 {
			delete(x.files, file)
		}
	}
	return deleted, nil
}
