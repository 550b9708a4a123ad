package main

import (
	"context"
	"database/sql"
	"log"
	"path/filepath"
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

// indexTables indexes the table of a collection if there is one, or those of
// all the database's collections ("").
func indexTables(ctx context.Context, database, collection string) error {
	db, err := sql.Open("sqlite", "file:./"+database+".sqlite?mode=rw"+
		"&_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer db.Close()

	rows, err := db.QueryContext(ctx, "SELECT table_name FROM _ferretdb_collections"+
		" WHERE ?1 = '' OR name = ?1", collection)
	if err != nil {
		return err
	}
	defer rows.Close()

	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return err
		}
		tables = append(tables, table)
	}
	if err := rows.Err(); err != nil {
		return err
	}

	for _, table := range tables {
		if _, err := db.ExecContext(ctx, "CREATE INDEX IF NOT EXISTS "+
			quote(table+"_v2m_id")+" ON "+quote(table)+" ("+lookup+")"); err != nil {
			return err
		}
	}
	return nil
}

func quote(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
