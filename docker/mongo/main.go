// The embedded MongoDB-wire server of the local stack: FerretDB 1 with its
// SQLite backend, behind a relay that makes updates atomic and finds the chunks
// of GridFS fast.  For trying things out and for tests; in production use MongoDB itself.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

// The name of FerretDB's own socket, in the data directory.
const socket = "ferretdb.sock"

func main() {
	listen := flag.String("listen", "127.0.0.1:27017", "address to listen on")
	dir := flag.String("dir", "data", "directory for the data")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(),
		syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	if err := run(ctx, *listen, *dir); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, listen, dir string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}

	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}

	// A socket's path is limited to about 100 bytes: use one relative to here.
	if err := os.Chdir(dir); err != nil {
		return err
	}

	// Left behind when the process was killed.
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}

	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: socket},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Handler:   "sqlite",
		SQLiteURL: "file:./",
	})
	if err != nil {
		return err
	}

	store, err := newChunkStore(ctx, socket)
	if err != nil {
		return err
	}

	indexes, err := newIDIndexes(ctx)
	if err != nil {
		return err
	}

	go relay(ctx, listener, socket, store, indexes)
	log.Printf("listening on %s", listener.Addr())

	return server.Run(ctx)
}
