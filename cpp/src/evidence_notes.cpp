// Links of evidence as notes of the ledger: read for a run, and deleted when their time has passed.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "evidence.hpp"
#include "foreign_record.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/error.hpp"
#include "purgekit/log.hpp"
#include "purgekit/policy.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr std::size_t links_a_page = 1'000;
constexpr std::size_t links_a_transaction = 500;
constexpr std::int64_t most_links_removed = 20'000;  // by one run: its end waits for them
constexpr std::int64_t second_in_ns = 1'000'000'000;

/// A run of the table whose links are there for a time only, as its record says.
struct Promised {
  std::string record_id;
  Json record;
  std::int64_t first = 0;
  std::int64_t last = 0;
};

// Of whatever instant a link or record tells; nothing where it can't be read.
std::optional<std::int64_t> instant_of(const Json& document, const char* key) {
  try {
    return parse_instant(foreign_text(document, key));
  } catch (const EngineError&) {
    return std::nullopt;
  }
}

bool has_passed(std::int64_t since_ns, std::int64_t retention_s, std::int64_t now_ns) { return now_ns > since_ns && (now_ns - since_ns) / second_in_ns >= retention_s; }

Json read_link(Session& session, const std::string& id) {
  // A shorter text stands before a longer one that begins like it.
  const std::vector<sdk::RunRecord> found = session.note_page(link_note_kind, id, id.substr(0, id.size() - 1), 1);
  return found.empty() || found[0].id != id ? Json::object() : foreign_record(found[0].document);
}

// The links' own words count: a record may have been written by anybody, and a later policy promises nothing for earlier runs.
bool is_outlived(Session& session, const Promised& run, std::int64_t now_ns) {
  const Json start = read_link(session, link_id(run.record_id, run.first));
  const std::int64_t retention_s = foreign_count(start, "retention_s");
  if (foreign_text(start, "kind") != "start" || retention_s == 0) return false;
  const Json last = read_link(session, link_id(run.record_id, run.last));
  for (const char* key : {"finished_utc", "at_utc", "started_utc"}) {
    if (const std::optional<std::int64_t> end_ns = instant_of(last, key)) return has_passed(*end_ns, retention_s, now_ns);
  }
  return false;
}

// What is left of a run's links, under the id of its record: records themselves may be written again by a takeover.
constexpr const char* removed_note_kind = "unlinked";

// First and last link go last: they tell that the rest may go, should this be broken off. \returns whether all are gone
bool remove_links(Session& session, const Promised& run, std::int64_t& allowed) {
  const std::string first_id = link_id(run.record_id, run.first);
  const std::string last_id = link_id(run.record_id, run.last);
  for (;;) {
    std::vector<sdk::RunRecord> links = session.note_page(link_note_kind, run.record_id + "/", first_id, links_a_transaction);
    links.erase(std::remove_if(links.begin(), links.end(), [&](const sdk::RunRecord& link) { return link.id == last_id; }), links.end());
    if (links.empty()) break;
    if (allowed <= 0) return false;
    session.begin("", 0, 0);
    for (const sdk::RunRecord& link : links) session.note_delete(link_note_kind, link.id);
    session.commit();
    allowed -= static_cast<std::int64_t>(links.size());
  }
  session.begin("", 0, 0);
  session.note_delete(link_note_kind, last_id);
  session.note_delete(link_note_kind, first_id);
  const Json left = {{"removed_utc", now_utc()}, {"evidence", chain_record(run.record)}};
  session.note_write(removed_note_kind, {run.record_id, left.dump(-1, ' ', false, Json::error_handler_t::replace)});
  session.commit();
  return true;
}

std::vector<Promised> promised(Session& session, const std::string& slot, std::int64_t now_ns) {
  std::vector<Promised> out;
  std::set<std::string> removed;
  for (const sdk::RunRecord& note : session.note_list(removed_note_kind)) removed.insert(note.id);
  for (const sdk::RunRecord& stored : session.run_list()) {
    const Json record = foreign_record(stored.document);
    const Json chain = chain_record(record);
    if (chain.is_null() || foreign_text(record, "slot") != slot || foreign_text(record, "status") == "running" || removed.count(stored.id) > 0) continue;
    const std::int64_t first = foreign_count(chain, "first");
    const std::int64_t links = foreign_count(chain, "links");
    const std::int64_t retention_s = foreign_count(chain, "retention_s");
    const std::optional<std::int64_t> start_ns = instant_of(record, "started_utc");
    if (first < 1 || links < 1 || retention_s == 0 || !start_ns || !has_passed(*start_ns, retention_s, now_ns)) continue;
    out.push_back({stored.id, record, first, first + links - 1});
  }
  return out;
}

// What the ledger still says of a run's links.
std::string why_none(Session& session, const std::string& run_id) {
  if (const std::vector<sdk::RunRecord> removed = session.note_page(removed_note_kind, run_id + "/", run_id + "/", 1); !removed.empty()) {
    return "it was kept for as long as promised, and deleted at " + printable(foreign_text(foreign_record(removed[0].document), "removed_utc"));
  }
  for (const sdk::RunRecord& stored : session.run_list()) {
    const Json record = foreign_record(stored.document);
    const Json chain = chain_record(record);
    if (foreign_text(record, "run_id") != run_id || chain.is_null()) continue;
    return "its record says that there were " + std::to_string(foreign_count(chain, "links")) + " links, and they are gone without purgekit having deleted them";
  }
  return "the ledger knows no such run, or it was made without evidence";
}

}  // namespace

void remove_outlived_evidence(Session& session, const std::string& slot) {
  try {
    // Of two clocks the one that is behind: a wrong one must not make a promise shorter.
    const std::int64_t now_ns = std::min(parse_instant(now_utc()), session.inspect().clock_utc_ns);
    std::int64_t allowed = most_links_removed;
    for (const Promised& run : promised(session, slot, now_ns)) {
      if (!is_outlived(session, run, now_ns)) continue;
      if (!remove_links(session, run, allowed)) break;
      log().info("the evidence of {} was kept for as long as promised, and is deleted", printable(run.record_id));
    }
  } catch (const std::exception& e) {
    log().warn("evidence whose time has passed could not be deleted: {}; the next run tries again", e.what());
    try {
      session.rollback();
    } catch (const sdk::Error&) {
      // A lost connection has rolled back.
    }
  }
}

std::vector<sdk::RunRecord> ledger_evidence(Session& session, const std::string& ledger, const std::string& run_id) {
  const auto none = [&](const std::string& why) { refuse("not_found", "no evidence of run " + printable(run_id) + ": " + why); };
  if (run_id.empty()) none("it has no name");
  if (ledger == "none") none("it is kept in a ledger, name one");
  std::vector<sdk::RunRecord> out;
  try {
    const sdk::Ledger found = session.ledger_find(parse_table_name(ledger));
    if (found.state == PK_LEDGER_FOREIGN) refuse("ledger_foreign", "table " + ledger + " is not a purgekit ledger; name another with --ledger");
    if (found.state == PK_LEDGER_NEWER) refuse("ledger_newer", "the ledger " + ledger + " was written by a newer version of purgekit; read it with that version");
    if (found.state == PK_LEDGER_ABSENT) none("there is no ledger " + ledger);
    const std::string prefix = run_id + "/";
    for (std::string after = prefix;; after = out.back().id) {
      std::vector<sdk::RunRecord> page = session.note_page(link_note_kind, prefix, after, links_a_page);
      std::move(page.begin(), page.end(), std::back_inserter(out));
      if (page.size() < links_a_page) break;
    }
    if (out.empty()) none(why_none(session, run_id));
    return out;
  } catch (const sdk::Error& e) {
    if (e.code() == PK_NOT_SUPPORTED) none("this backend keeps none");
    throw EngineError(e);
  }
}

}  // namespace purgekit
