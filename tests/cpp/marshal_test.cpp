// Every struct of abi.h there and back: what a backend puts into its Outbox is what the host reads.
#include "purgekit/sdk/marshal.hpp"

#include "gtest/gtest.h"
#include "purgekit/session.hpp"

namespace purgekit::sdk {
namespace {

TEST(Marshal, TableWithEverything) {
  Table t;
  t.schema = "s";
  t.name = "T";
  t.kind = PK_TABLE_VIEW;
  t.transactional = false;
  t.can_select = false;
  t.can_delete = false;
  t.rows_hidden = true;
  t.storage = "heap";
  t.identity = "16384";
  t.columns = {{"ID", "bigint", PK_COLUMN_INT, false}, {"EXPIRY", "timestamptz", PK_COLUMN_TIMESTAMP_ZONED, true}, {"", "", PK_COLUMN_OTHER, true}};
  t.key = {0, 1};
  t.indexes = {{"by_expiry", {1, 0}, true, false}, {"by_expression", {Index::expression}, false, true}, {"none", {}, false, false}};
  t.references = {{"fk1", "s", "CHILD", {"A", "B"}, {"ID", "EXPIRY"}, PK_FK_CASCADE, true, false}, {"fk2", "", "OTHER", {"C"}, {"ID"}, PK_FK_SET_NULL, false, true}};
  t.delete_triggers = {"audit", "log"};
  t.partition_count = 12;
  t.rows_estimate = 1'000'000'000'000;
  t.bytes = 7;
  t.index_bytes = -1;
  t.grant_hint = "GRANT DELETE";

  Outbox outbox;
  const Table back = from_c(outbox.put(t));
  EXPECT_EQ(back.schema, t.schema);
  EXPECT_EQ(back.name, t.name);
  EXPECT_EQ(back.kind, t.kind);
  EXPECT_EQ(back.transactional, t.transactional);
  EXPECT_EQ(back.can_select, t.can_select);
  EXPECT_EQ(back.can_delete, t.can_delete);
  EXPECT_EQ(back.rows_hidden, t.rows_hidden);
  EXPECT_EQ(back.storage, t.storage);
  EXPECT_EQ(back.identity, t.identity);
  ASSERT_EQ(back.columns.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(back.columns[i].name, t.columns[i].name);
    EXPECT_EQ(back.columns[i].type_name, t.columns[i].type_name);
    EXPECT_EQ(back.columns[i].kind, t.columns[i].kind);
    EXPECT_EQ(back.columns[i].nullable, t.columns[i].nullable);
  }
  EXPECT_EQ(back.key, t.key);
  ASSERT_EQ(back.indexes.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(back.indexes[i].name, t.indexes[i].name);
    EXPECT_EQ(back.indexes[i].columns, t.indexes[i].columns);
    EXPECT_EQ(back.indexes[i].unique, t.indexes[i].unique);
    EXPECT_EQ(back.indexes[i].partial, t.indexes[i].partial);
  }
  ASSERT_EQ(back.references.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(back.references[i].name, t.references[i].name);
    EXPECT_EQ(back.references[i].child_schema, t.references[i].child_schema);
    EXPECT_EQ(back.references[i].child_table, t.references[i].child_table);
    EXPECT_EQ(back.references[i].child_columns, t.references[i].child_columns);
    EXPECT_EQ(back.references[i].parent_columns, t.references[i].parent_columns);
    EXPECT_EQ(back.references[i].action, t.references[i].action);
    EXPECT_EQ(back.references[i].child_indexed, t.references[i].child_indexed);
    EXPECT_EQ(back.references[i].enforced, t.references[i].enforced);
  }
  EXPECT_EQ(back.delete_triggers, t.delete_triggers);
  EXPECT_EQ(back.partition_count, t.partition_count);
  EXPECT_EQ(back.rows_estimate, t.rows_estimate);
  EXPECT_EQ(back.bytes, t.bytes);
  EXPECT_EQ(back.index_bytes, t.index_bytes);
  EXPECT_EQ(back.grant_hint, t.grant_hint);
  EXPECT_EQ(from_c(outbox.put(Table{})).name, "") << "an empty table crosses as well";
}

TEST(Marshal, Server) {
  const Server s{"PostgreSQL", "15.6", 1'795'255'200'000'000'001, true, true, false, true, "iam on db1", "cluster 7", {"one", "two"}};
  Outbox outbox;
  const Server back = from_c(outbox.put(s));
  EXPECT_EQ(back.product, s.product);
  EXPECT_EQ(back.version, s.version);
  EXPECT_EQ(back.clock_utc_ns, s.clock_utc_ns);
  EXPECT_EQ(back.read_only, s.read_only);
  EXPECT_EQ(back.tls, s.tls);
  EXPECT_EQ(back.tls_verified, s.tls_verified);
  EXPECT_EQ(back.loopback, s.loopback);
  EXPECT_EQ(back.database, s.database);
  EXPECT_EQ(back.identity, s.identity);
  EXPECT_EQ(back.warnings, s.warnings);
}

TEST(Marshal, Slot) {
  const Slot s{"T#0", 3, 17, "run", "sha256:00", -5, "i7", 2, 12'345, "walking", R"({"a":1})"};
  Outbox outbox;
  for (const Slot& back : {from_c(to_c(s)), from_c(outbox.put(s))}) {
    EXPECT_EQ(back.key, s.key);
    EXPECT_EQ(back.epoch, s.epoch);
    EXPECT_EQ(back.seq, s.seq);
    EXPECT_EQ(back.run_id, s.run_id);
    EXPECT_EQ(back.policy_hash, s.policy_hash);
    EXPECT_EQ(back.cutoff_ns, s.cutoff_ns);
    EXPECT_EQ(back.cursor, s.cursor);
    EXPECT_EQ(back.pass, s.pass);
    EXPECT_EQ(back.rows_deleted, s.rows_deleted);
    EXPECT_EQ(back.state, s.state);
    EXPECT_EQ(back.document, s.document);
  }
}

TEST(Marshal, WalksLedgerRunsDeletedTextsSamples) {
  Outbox outbox;
  const pk_walks walks = outbox.put(std::vector<Walk>{{"key", "key-range", "pk", 1.5, "because"}, {"scan", "scan", "", 9, ""}});
  ASSERT_EQ(walks.count, 2u);
  const Walk walk = from_c(walks.walks[0]);
  EXPECT_EQ(walk.id + walk.strategy + walk.index + walk.reason, "keykey-rangepkbecause");
  EXPECT_EQ(walk.cost, 1.5);
  EXPECT_EQ(from_c(walks.walks[1]).id, "scan");

  const Ledger ledger = from_c(outbox.put(Ledger{PK_LEDGER_NEWER, false, true, "CREATE", "GRANT"}));
  EXPECT_EQ(ledger.state, PK_LEDGER_NEWER);
  EXPECT_FALSE(ledger.can_create);
  EXPECT_TRUE(ledger.can_write);
  EXPECT_EQ(ledger.ddl + ledger.grant_hint, "CREATEGRANT");

  const pk_runs runs = outbox.put(std::vector<RunRecord>{{"r/000", "{}"}});
  ASSERT_EQ(runs.count, 1u);
  EXPECT_EQ(to_string(runs.runs[0].id) + to_string(runs.runs[0].document), "r/000{}");

  const Deleted deleted = from_c(outbox.put(Deleted{5, 7, "i9", true, 0.25}));
  EXPECT_EQ(deleted.rows_deleted, 5);
  EXPECT_EQ(deleted.rows_visited, 7);
  EXPECT_EQ(deleted.cursor, "i9");
  EXPECT_TRUE(deleted.done);
  EXPECT_EQ(deleted.share_done, 0.25);

  const pk_texts texts = outbox.put(std::vector<std::string>{"a", "", std::string(5'000, 'x')});
  EXPECT_EQ(from_c(texts.items, texts.count), (std::vector<std::string>{"a", "", std::string(5'000, 'x')}));

  const pk_samples samples = outbox.put(std::vector<Value>{Value::integer(1), Value::string("short"), Value::null()});
  ASSERT_EQ(samples.count, 3u);
  EXPECT_EQ(Value::from_c(samples.values[1]), Value::string("short"));
}

TEST(Marshal, TableNameAndConnectParams) {
  const TableName name{"s", "T", true, false};
  const TableName back = from_c(to_c(name));
  EXPECT_EQ(back.schema + back.name, "sT");
  EXPECT_TRUE(back.schema_quoted);
  EXPECT_FALSE(back.name_quoted);

  const pk_option options[] = {{to_text("sslmode"), to_text("require")}};
  const pk_connect c{to_text("postgresql"), to_text("u"), to_text("p"), to_text("h"), 5432, 1'000, to_text("d"), options, 1, 250, 60'000};
  const ConnectParams params = from_c(c);
  EXPECT_EQ(params.scheme + params.user + params.password + params.host + params.database, "postgresqluphd");
  EXPECT_EQ(params.port, 5432u);
  EXPECT_EQ(params.connect_timeout_ms, 1'000u);
  EXPECT_EQ(params.lock_wait_ms, 250u);
  EXPECT_EQ(params.statement_timeout_ms, 60'000u);
  ASSERT_NE(params.option("sslmode"), nullptr);
  EXPECT_EQ(*params.option("sslmode"), "require");
  EXPECT_EQ(params.option("sslroot"), nullptr);
}

TEST(Marshal, PurgeWithDependents) {
  Table table;
  table.schema = "s";
  table.name = "T";
  const pk_predicate predicate{};
  const std::vector<Dependent> dependents = {{"s", "CHILD", {"A", "B"}, {"ID", "TENANT"}, true}, {"", "OTHER", {"C"}, {"ID"}, false}};
  const PurgeSpec spec(table, predicate, "key", dependents);
  const Purge back = from_c(static_cast<const pk_purge&>(spec));
  EXPECT_EQ(back.schema + back.table + back.walk, "sTkey");
  ASSERT_EQ(back.dependents.size(), 2u);
  EXPECT_EQ(back.dependents[0].table, "CHILD");
  EXPECT_EQ(back.dependents[0].columns, dependents[0].columns);
  EXPECT_EQ(back.dependents[0].parent_columns, dependents[0].parent_columns);
  EXPECT_TRUE(back.dependents[0].unless_referenced);
  EXPECT_FALSE(back.dependents[1].unless_referenced);
}

TEST(Outbox, ReplacesWhatWasHandedOutBefore) {
  Outbox outbox;
  outbox.put(std::vector<std::string>{"a", "b"});
  EXPECT_EQ(to_string(outbox.put(std::string("only this"))), "only this");
  EXPECT_EQ(outbox.put(std::vector<Walk>{}).count, 0u);
}

}  // namespace
}  // namespace purgekit::sdk
