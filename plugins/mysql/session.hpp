/// \file session.hpp
/// Settings of our own session, and what the server says of itself. Nothing a server or file keeps is ever changed.
#pragma once

#include <cstdint>

#include "line.hpp"
#include "purgekit/sdk/table.hpp"

namespace purgekit::mysql {

/// Make the session the one our statements are written for: UTC, READ COMMITTED, a known sql_mode, bounded waits.
void settle_session(Line& line, const sdk::ConnectParams& params);

/// How long a statement may take, where this server can be told: MariaDB any, MySQL from 5.7.8 on a SELECT. 0: as long as it likes.
void bound_statements(Line& line, std::uint32_t timeout_ms);

/// How long the server keeps a silent session: not long while it holds a run lock, so that a frozen client can't keep others out.
void limit_idle(Line& line, bool purging);

/// The same while another line of ours does the work of a chunk, and afterwards.
void limit_silence(Line& line, int seconds);
void limit_silence_of_chunks(Line& line);

/// Longest wait for row and metadata locks. The server counts whole seconds; MariaDB knows 0 for "do not wait".
std::int64_t lock_wait_seconds(std::uint32_t wait_ms, bool is_mariadb);
void set_lock_wait_seconds(Line& line, std::int64_t seconds);

/// CONVERT_TZ knows the server's own zone.
bool knows_server_zone(Line& line);

/// Under READ COMMITTED InnoDB refuses to write into a statement-based binary log.
bool logs_statements(Line& line);

sdk::Server inspect_server(Line& line, const std::string& database);

}  // namespace purgekit::mysql
