package main

import (
	"encoding/binary"
	"fmt"
	"io"

	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
)

// The wire protocol, as far as the relay has to know it.

const (
	headerLen  = 16 // length, request id, response to, operation; 4 bytes each
	maxMessage = 48_000_000
	opMsg      = 2013
	moreToCome = 1 << 1 // the client expects no reply
)

// A command is an OP_MSG taken apart.
type command struct {
	name       string // the first key
	collection string // its value, if that is a string
	database   string
	body       bsoncore.Document   // the document with all of that
	documents  []bsoncore.Document // of an insert or a delete, wherever they are
}

func readMessage(r io.Reader) ([]byte, error) {
	header := make([]byte, headerLen)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}

	length := binary.LittleEndian.Uint32(header)
	if length < headerLen || length > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}

	message := make([]byte, length)
	copy(message, header)
	_, err := io.ReadFull(r, message[headerLen:])
	return message, err
}

func flags(message []byte) uint32 {
	if len(message) < headerLen+4 || binary.LittleEndian.Uint32(message[12:]) != opMsg {
		return 0
	}
	return binary.LittleEndian.Uint32(message[headerLen:])
}

// parse takes a message apart; nil: it is no well-formed OP_MSG.
func parse(message []byte) *command {
	if len(message) < headerLen+4 || binary.LittleEndian.Uint32(message[12:]) != opMsg {
		return nil
	}

	c := &command{}
	rest := message[headerLen+4:]

	for len(rest) > 0 {
		kind := rest[0]
		rest = rest[1:]

		switch kind {
		case 0:
			var ok bool
			if c.body, rest, ok = bsoncore.ReadDocument(rest); !ok {
				return nil
			}
		case 1:
			var ok bool
			if rest, ok = c.sequence(rest); !ok {
				return nil
			}
		default:
			return nil
		}
	}

	return c.complete()
}

// sequence reads a document sequence, whose first 4 bytes are its length.
func (c *command) sequence(data []byte) (rest []byte, ok bool) {
	if len(data) < 4 {
		return nil, false
	}

	length := int(binary.LittleEndian.Uint32(data))
	if length < 5 || length > len(data) {
		return nil, false
	}
	rest, data = data[length:], data[4:length]

	for i, b := range data {
		if b == 0 { // the end of the sequence's name
			data = data[i+1:]
			break
		}
	}

	for len(data) > 0 {
		var document bsoncore.Document
		if document, data, ok = bsoncore.ReadDocument(data); !ok {
			return nil, false
		}
		c.documents = append(c.documents, document)
	}

	return rest, true
}

func (c *command) complete() *command {
	first, err := c.body.IndexErr(0)
	if err != nil || c.body.Validate() != nil {
		return nil
	}

	c.name = first.Key()
	c.collection, _ = first.Value().StringValueOK()
	c.database, _ = c.body.Lookup("$db").StringValueOK()

	// the same as an array within the body
	for _, key := range []string{"documents", "deletes"} {
		values, ok := c.body.Lookup(key).ArrayOK()
		if !ok {
			continue
		}
		list, err := values.Values()
		if err != nil {
			return nil
		}
		for _, value := range list {
			document, ok := value.DocumentOK()
			if !ok {
				return nil
			}
			c.documents = append(c.documents, document)
		}
	}

	return c
}

// body returns the document of a reply.
func body(reply []byte) bsoncore.Document {
	if c := parse(reply); c != nil {
		return c.body
	}
	return nil
}

// answer makes the reply to a request.
func answer(request []byte, document bsoncore.Document) []byte {
	reply := make([]byte, headerLen, headerLen+5+len(document))
	copy(reply[8:12], request[4:8]) // response to
	binary.LittleEndian.PutUint32(reply[12:], opMsg)
	reply = append(reply, 0, 0, 0, 0, 0) // no flags; a section of kind 0
	reply = append(reply, document...)
	binary.LittleEndian.PutUint32(reply, uint32(len(reply)))
	return reply
}
