#include "json_functions.hpp"

#include <array>
#include <memory>

#include "error.hpp"

namespace purgekit::sqlite {
namespace {

struct Close {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

int open_memory(std::unique_ptr<sqlite3, Close>& memory) {
  sqlite3* opened = nullptr;
  const int rc = sqlite3_open_v2(":memory:", &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX, nullptr);
  memory.reset(opened);
  return rc;
}

// One function with its number of arguments, asked of a database in memory whose functions are the library's own. Opened when first
// asked: most schemas have no use for it.
class Answer {
 public:
  explicit Answer(const char* expression) : expression_(expression) {}

  void give(sqlite3_context* context, int arguments, sqlite3_value** values) {
    if (const int rc = open(); rc != SQLITE_OK) return sqlite3_result_error_code(context, rc);
    for (int i = 0; i < arguments; ++i) sqlite3_bind_value(statement_.get(), i + 1, values[i]);
    if (sqlite3_step(statement_.get()) == SQLITE_ROW) sqlite3_result_value(context, sqlite3_column_value(statement_.get(), 0));
    else sqlite3_result_error(context, sqlite3_errmsg(memory_.get()), -1);
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
  }

 private:
  int open() {
    if (statement_) return SQLITE_OK;
    int rc = open_memory(memory_);
    sqlite3_stmt* prepared = nullptr;
    if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(memory_.get(), expression_, -1, &prepared, nullptr);
    statement_.reset(prepared);
    return rc;
  }

  const char* expression_;
  std::unique_ptr<sqlite3, Close> memory_;
  std::unique_ptr<sqlite3_stmt, Close> statement_;
};

void answer(sqlite3_context* context, int arguments, sqlite3_value** values) {
  static_cast<Answer*>(sqlite3_user_data(context))->give(context, arguments, values);
}

void forget(void* given) { delete static_cast<Answer*>(given); }

// SQLITE_INNOCUOUS in the flags of pragma_function_list. A library that lacks the function has no such row. Asked of a database in
// memory: whatever is asked of the file reads its schema first, and fails.
bool is_forbidden(sqlite3* memory, const char* name) {
  sqlite3_stmt* prepared = nullptr;
  const char* text = "SELECT 1 FROM pragma_function_list WHERE name = ?1 AND (flags & 0x200000) = 0";
  if (sqlite3_prepare_v2(memory, text, -1, &prepared, nullptr) != SQLITE_OK) return false;
  const std::unique_ptr<sqlite3_stmt, Close> statement(prepared);
  sqlite3_bind_text(prepared, 1, name, -1, SQLITE_STATIC);
  return sqlite3_step(prepared) == SQLITE_ROW;
}

struct Function {
  const char* name;
  int arguments;
  const char* expression;
};

// Not those that build JSON: what they make of an argument depends on a mark that does not pass from one connection to another.
constexpr std::array functions{
    Function{"json_valid", 1, "SELECT json_valid(?1)"},
    Function{"json_type", 1, "SELECT json_type(?1)"},
    Function{"json_type", 2, "SELECT json_type(?1, ?2)"},
    Function{"json_array_length", 1, "SELECT json_array_length(?1)"},
    Function{"json_array_length", 2, "SELECT json_array_length(?1, ?2)"},
    Function{"json_extract", 2, "SELECT json_extract(?1, ?2)"},
    Function{"->", 2, "SELECT ?1 -> ?2"},
    Function{"->>", 2, "SELECT ?1 ->> ?2"},
};

}  // namespace

void allow_json_in_schema(sqlite3* db) {
  constexpr int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
  std::unique_ptr<sqlite3, Close> memory;
  if (const int rc = open_memory(memory); rc != SQLITE_OK) throw make_error(rc, sqlite3_errstr(rc));
  for (const Function& function : functions) {
    if (!is_forbidden(memory.get(), function.name)) continue;
    auto made = std::make_unique<Answer>(function.expression);
    // SQLite forgets the answer by itself when it refuses the function.
    const int rc = sqlite3_create_function_v2(db, function.name, function.arguments, flags, made.release(), answer, nullptr, nullptr, forget);
    if (rc != SQLITE_OK) throw make_error(rc, sqlite3_errmsg(db));
  }
}

}  // namespace purgekit::sqlite
