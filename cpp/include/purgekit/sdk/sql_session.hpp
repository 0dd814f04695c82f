/// \file sql_session.hpp
/// The few things a SQL database must be able to do; everything else in the SDK is built on them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "purgekit/sdk/dialect.hpp"
#include "purgekit/sdk/value.hpp"

namespace purgekit::sdk {

/// Statements run in autocommit unless a transaction is open. Throws Error.
class SqlSession {
 public:
  virtual ~SqlSession() = default;
  virtual const Dialect& dialect() const = 0;
  /// Run a statement; rows affected.
  virtual std::int64_t execute(const std::string& text, const std::vector<Value>& params) = 0;
  /// Run a statement that returns a small result (keys of a chunk at most).
  virtual Rows query(const std::string& text, const std::vector<Value>& params) = 0;
  /// The same for a result of any size, row by row; `visit` makes no call on this session. Override it: this one has all rows in memory.
  virtual void stream(const std::string& text, const std::vector<Value>& params, const std::function<void(Row)>& visit) {
    for (Row& row : query(text, params)) visit(std::move(row));
  }
  /// READ COMMITTED (or the single writer's equivalent), for writing.
  virtual void begin_transaction() = 0;
  /// Throws PK_IN_DOUBT when the answer is lost after COMMIT was sent.
  virtual void commit_transaction() = 0;
  /// Succeeds when nothing is open.
  virtual void rollback_transaction() = 0;
  /// Longest wait for a lock, for the statements that follow (in the open transaction at least).
  virtual void set_lock_wait(std::uint32_t wait_ms) = 0;

  std::int64_t run(const Sql& sql, const Row& slots = {}) { return execute(sql.text(), sql.params(slots)); }
  Rows fetch(const Sql& sql, const Row& slots = {}) { return query(sql.text(), sql.params(slots)); }
};

}  // namespace purgekit::sdk
