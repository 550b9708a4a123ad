package main

import (
	"context"
	"database/sql"
	"log"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	_ "modernc.org/sqlite"
)

// FerretDB 1 looks a document up by _ferretdb_sjson->'$._id', but its own index
// of _id is one of _ferretdb_sjson->"_id", which SQLite takes for something
// else: it reads and parses the whole table, half a second for a video of
// 100 MB.  So each table gets an index of the expression that is asked for.

const lookup = `_ferretdb_sjson->'$._id'`

type idIndexes struct {
	mu   sync.Mutex
	have map[string]bool // "database.collection"
}

// newIDIndexes indexes the tables that are there.
func newIDIndexes(ctx context.Context) (*idIndexes, error) {
	indexes := &idIndexes{have: map[string]bool{}}

	files, err := filepath.Glob("*.sqlite")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		database := strings.TrimSuffix(file, ".sqlite")
		if err := indexTables(ctx, database, ""); err != nil {
			return nil, err
		}
	}
	return indexes, nil
}

// after sees to the collection that a command may have made.
func (i *idIndexes) after(ctx context.Context, c *command) {
	if c == nil {
		return
	}

	i.mu.Lock()
	defer i.mu.Unlock()

	switch c.name {
	case "drop", "dropDatabase", "renameCollection":
		clear(i.have)
		return
	case "insert", "update", "findAndModify", "findandmodify", "create", "createIndexes":
	default:
		return
	}

	name := c.database + "." + c.collection
	if i.have[name] {
		return
	}
	if err := indexTables(ctx, c.database, c.collection); err != nil {
		log.Printf("no index of the ids of %s: %v", name, err)
		return
	}
	i.have[name] = true
}

// open opens a database beside FerretDB.
func open(database string) (*sql.DB, error) {
	return sql.Open("sqlite", "file:./"+database+".sqlite?mode=rw"+
		"&_pragma=busy_timeout(10000)")
}

// tables returns the name of the collection's table, none when there is none;
// or those of all the database's collections ("").
func tables(ctx context.Context, db *sql.DB, collection string) (names []string, err error) {
	rows, err := db.QueryContext(ctx, "SELECT table_name FROM _ferretdb_collections"+
		" WHERE ?1 = '' OR name = ?1", collection)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// indexTables indexes the table of a collection if there is one, or those of
// all the database's collections ("").
func indexTables(ctx context.Context, database, collection string) error {
	db, err := open(database)
	if err != nil {
		return err
	}
	defer db.Close()

	names, err := tables(ctx, db, collection)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := db.ExecContext(ctx, "CREATE INDEX IF NOT EXISTS "+
			quote(name+"_v2m_id")+" ON "+quote(name)+" ("+lookup+")"); err != nil {
			return err
		}
	}
	return nil
}

// deleteIDs deletes documents, few at a time, as others want to write too.
// FerretDB would read each of them first, which takes longer than the rest.
func deleteIDs(ctx context.Context, database, collection string, ids []objectID) (deleted int64, err error) {
	const atOnce = 32

	db, err := open(database)
	if err != nil {
		return 0, err
	}
	defer db.Close()

	names, err := tables(ctx, db, collection)
	if err != nil || len(names) == 0 {
		return 0, err
	}

	for some := range slices.Chunk(ids, atOnce) {
		values := make([]any, len(some))
		for i, id := range some {
			values[i] = `"` + id.Hex() + `"`
		}
		result, err := db.ExecContext(ctx, "DELETE FROM "+quote(names[0])+" WHERE "+
			lookup+" IN (?"+strings.Repeat(", ?", len(some)-1)+")", values...)
		if err != nil {
			return deleted, err
		}
		count, err := result.RowsAffected()
		if err != nil {
			return deleted, err
		}
		deleted += count
	}
	return deleted, nil
}

func quote(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
