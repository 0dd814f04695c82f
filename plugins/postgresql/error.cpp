#include "error.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace purgekit::postgresql {
namespace {

struct Entry {
  std::string_view state;
  pk_code code;
};

constexpr Entry exact[] = {
    {"23503", PK_FOREIGN_KEY},        // foreign_key_violation
    {"23001", PK_FOREIGN_KEY},        // restrict_violation
    {"25006", PK_READ_ONLY},          // read_only_sql_transaction
    {"25P03", PK_CONNECTION_LOST},    // idle_in_transaction_session_timeout: the server closed the session
    {"25P04", PK_CONNECTION_LOST},    // transaction_timeout
    {"3D000", PK_CONNECT_FAILED},     // invalid_catalog_name
    {"3F000", PK_NOT_FOUND},          // invalid_schema_name
    {"40003", PK_IN_DOUBT},           // statement_completion_unknown
    {"40P01", PK_DEADLOCK},           // deadlock_detected
    {"42501", PK_PRIVILEGE},          // insufficient_privilege
    {"42703", PK_NOT_FOUND},          // undefined_column
    {"42P01", PK_NOT_FOUND},          // undefined_table
    {"53400", PK_SERVER_RESOURCES},   // configuration_limit_exceeded
    {"54000", PK_NOT_SUPPORTED},      // program_limit_exceeded
    {"54001", PK_NOT_SUPPORTED},      // statement_too_complex
    {"55006", PK_LOCK_TIMEOUT},       // object_in_use
    {"55P03", PK_LOCK_TIMEOUT},       // lock_not_available
    {"57014", PK_STATEMENT_TIMEOUT},  // query_canceled
    {"57P01", PK_SERVER_SHUTDOWN},    // admin_shutdown
    {"57P02", PK_SERVER_SHUTDOWN},    // crash_shutdown
    {"57P03", PK_SERVER_SHUTDOWN},    // cannot_connect_now
    {"57P04", PK_CONNECT_FAILED},     // database_dropped
    {"57P05", PK_CONNECTION_LOST},    // idle_session_timeout
    {"58030", PK_SERVER_RESOURCES},   // io_error
    {"72000", PK_SERIALIZATION},      // snapshot_too_old
    {"XX001", PK_CORRUPT},            // data_corrupted
    {"XX002", PK_CORRUPT},            // index_corrupted
};

constexpr Entry classes[] = {
    {"08", PK_CONNECTION_LOST},
    {"09", PK_TRIGGER},           // triggered action exception
    {"0A", PK_NOT_SUPPORTED},
    {"21", PK_DATA},              // cardinality violation
    {"22", PK_DATA},
    {"23", PK_TRIGGER},           // a DELETE violates these only through what a trigger writes
    {"25", PK_INTERNAL},          // invalid transaction state
    {"27", PK_TRIGGER},           // triggered data change violation
    {"28", PK_AUTHENTICATION},
    {"2F", PK_TRIGGER},           // SQL routine exception
    {"38", PK_TRIGGER},           // external routine exception
    {"39", PK_TRIGGER},
    {"40", PK_SERIALIZATION},
    {"42", PK_INVALID_ARGUMENT},  // syntax error, unknown function or type: a policy's own SQL
    {"44", PK_TRIGGER},           // WITH CHECK OPTION
    {"53", PK_SERVER_RESOURCES},
    {"54", PK_NOT_SUPPORTED},
    {"55", PK_LOCK_TIMEOUT},      // object not in prerequisite state
    {"57", PK_SERVER_SHUTDOWN},   // operator intervention
    {"58", PK_SERVER_RESOURCES},
    {"F0", PK_CORRUPT},           // configuration file error
    {"HV", PK_NOT_SUPPORTED},     // foreign data wrapper
    {"P0", PK_TRIGGER},           // RAISE and the like
};

bool contains(std::string_view text, std::string_view part) noexcept { return text.find(part) != std::string_view::npos; }

bool is_sqlstate(std::string_view text) noexcept {
  return text.size() == 5 && std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
}

std::string_view line_after(std::string_view text, std::string_view label) {
  const std::size_t at = text.find(label);
  if (at == std::string_view::npos || (at > 0 && text[at - 1] != '\n')) return {};
  std::string_view rest = text.substr(at + label.size());
  rest = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return rest;
}

// "PL/pgSQL function deny() line 3 at RAISE", in whatever language: the word with the brackets.
std::string function_in(std::string_view context) {
  const std::size_t close = context.find(')');
  const std::size_t open = context.substr(0, close).rfind('(');
  if (close == std::string_view::npos || open == std::string_view::npos) return "";
  const std::size_t blank = context.substr(0, open).find_last_of(" \"");
  const std::size_t start = blank == std::string_view::npos ? 0 : blank + 1;
  return std::string(context.substr(start, open - start));
}

const char* advice(pk_code code) noexcept {
  switch (code) {
    case PK_PRIVILEGE: return "nothing was changed; ask for the GRANT that doctor prints";
    case PK_READ_ONLY: return "nothing was changed; connect to the primary";
    case PK_CONNECTION_LOST: return "the open transaction was rolled back";
    case PK_IN_DOUBT: return "the ledger tells whether the chunk was committed";
    case PK_LOCK_TIMEOUT: return "another session holds what this chunk needs; the chunk was rolled back";
    case PK_DEADLOCK:
    case PK_SERIALIZATION: return "the chunk was rolled back and can be tried again";
    case PK_STATEMENT_TIMEOUT: return "the chunk was rolled back; a smaller one may pass";
    case PK_FOREIGN_KEY: return "rows that are still referenced stay";
    case PK_SERVER_RESOURCES: return "the chunk was rolled back; the server needs room before it goes on";
    case PK_SERVER_SHUTDOWN: return "the open transaction was rolled back; connect again when the server is up";
    case PK_CORRUPT: return "stop, and look after the database first";
    default: return "";
  }
}

}  // namespace

pk_code code_for(std::string_view sqlstate) noexcept {
  for (const Entry& entry : exact) {
    if (entry.state == sqlstate) return entry.code;
  }
  for (const Entry& entry : classes) {
    if (entry.state == sqlstate.substr(0, 2)) return entry.code;
  }
  return PK_INTERNAL;
}

pk_code connect_code_for(std::string_view message) noexcept {
  constexpr std::array<std::string_view, 8> refused_user = {
      "password authentication failed", "no password supplied", "authentication failed", "no pg_hba.conf entry",
      "pg_hba.conf rejects",            "role \"",              "certificate authentication", "not permitted to log in"};
  constexpr std::array<std::string_view, 3> not_up = {"is starting up", "is shutting down", "is in recovery mode"};
  constexpr std::array<std::string_view, 3> full = {"too many clients", "too many connections", "remaining connection slots"};
  const auto any = [&](const auto& parts) { return std::any_of(parts.begin(), parts.end(), [&](auto part) { return contains(message, part); }); };
  if (any(not_up)) return PK_SERVER_SHUTDOWN;
  if (any(full)) return PK_SERVER_RESOURCES;
  if (any(refused_user)) return PK_AUTHENTICATION;
  return PK_CONNECT_FAILED;
}

ServerMessage parse_server_message(std::string_view text) {
  ServerMessage out;
  std::string_view first = text.substr(0, text.find('\n'));
  // "ERROR:  23503: update or delete …"; the severity is translated, its form is not.
  const std::size_t severity = first.find(":  ");
  if (severity != std::string_view::npos && first.size() >= severity + 10 && is_sqlstate(first.substr(severity + 3, 5)) &&
      first.substr(severity + 8, 2) == ": ") {
    out.sqlstate = first.substr(severity + 3, 5);
    first = first.substr(severity + 10);
  }
  out.primary = first;
  out.constraint = line_after(text, "CONSTRAINT NAME:");
  out.function = function_in(line_after(text, "CONTEXT:"));
  return out;
}

sdk::Error make_error(pk_code code, const ServerMessage& message) {
  std::string line = message.primary;
  std::string subject = message.constraint;
  // These two quote stored values: say what happened in our own words.
  if (code == PK_DATA) line = "a stored value or a parameter does not fit the statement (SQLSTATE " + message.sqlstate + ")";
  if (code == PK_TRIGGER) {
    if (subject.empty()) subject = message.function;
    line = "a trigger or check of the schema refused it" + (subject.empty() ? "" : ": " + subject) + " (SQLSTATE " + message.sqlstate + ")";
  }
  if (code == PK_PRIVILEGE && contains(message.primary, "row-level security")) {
    line += "; a purge would miss the rows it hides, use a role with BYPASSRLS or the table's owner";
  }
  const std::string next = advice(code);
  if (!next.empty()) line += "; " + next;
  sdk::Error error(code, line);
  error.sqlstate(message.sqlstate).constraint(subject);
  return error;
}

std::string without_secret(std::string text, const std::string& secret) {
  if (!secret.empty()) {
    for (std::size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at + 3)) text.replace(at, secret.size(), "***");
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace purgekit::postgresql
