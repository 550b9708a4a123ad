package main

import (
	"context"
	"log"
	"net"
	"strings"
	"sync"
	"time"
)

// FerretDB 1 reads and writes a document in separate steps, so that of several
// clients racing for one document more than one may win.  The relay hands it
// each connection's messages one request and reply at a time, and lets only
// one command that changes documents be under way at any time.

func relay(ctx context.Context, listener net.Listener, socket string, store *chunkStore,
	indexes *idIndexes) {
	var changing sync.Mutex

	context.AfterFunc(ctx, func() { listener.Close() })

	for {
		client, err := listener.Accept()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			log.Printf("accept failed: %v", err)
			time.Sleep(100 * time.Millisecond) // most likely out of files
			continue
		}

		go func() {
			defer client.Close()

			server, err := net.Dial("unix", socket)
			if err != nil {
				log.Printf("no connection to FerretDB: %v", err)
				return
			}
			defer server.Close()

			defer context.AfterFunc(ctx, func() {
				client.Close()
				server.Close()
			})()

			// An error is the end of this connection, whoever ended it.
			for exchange(ctx, client, server, store, indexes, &changing) == nil {
			}
		}()
	}
}

// exchange passes on one request and its reply.
func exchange(ctx context.Context, client, server net.Conn, store *chunkStore,
	indexes *idIndexes, changing *sync.Mutex) error {
	request, err := readMessage(client)
	if err != nil {
		return err
	}

	c := parse(request)
	if changes(c) {
		changing.Lock()
		defer changing.Unlock()
	}

	reply, err := store.handle(request, c, func() ([]byte, error) {
		return ask(server, request)
	})
	if err != nil {
		return err
	}
	indexes.after(ctx, c)

	// FerretDB replies even to those who do not wait for it.
	if flags(request)&moreToCome != 0 {
		return nil
	}

	_, err = client.Write(reply)
	return err
}

func ask(server net.Conn, request []byte) ([]byte, error) {
	if _, err := server.Write(request); err != nil {
		return nil, err
	}
	return readMessage(server)
}

// changes tells whether a command is an update, findAndModify or delete.  Chunks
// are never changed, and to delete those of a large file takes its time.
func changes(c *command) bool {
	if c == nil {
		return true // who knows
	}
	if strings.HasSuffix(c.collection, ".chunks") {
		return false
	}

	switch c.name {
	case "update", "findAndModify", "findandmodify", "delete":
		return true
	}
	return false
}
