#include "purgekit/flight.hpp"

#include <algorithm>
#include <cmath>

#include "json.hpp"
#include "purgekit/duration.hpp"
#include "purgekit/sdk/error.hpp"

namespace purgekit {
namespace {

constexpr std::size_t most_chunks = 50;
constexpr std::size_t most_others = 150;
constexpr std::size_t most_policies = 50;
constexpr std::size_t longest_text = 4'000;

std::string cut(const std::string& text) { return text.size() <= longest_text ? text : text.substr(0, longest_text) + "…"; }

}  // namespace

FlightRecorder::FlightRecorder() : start_(std::chrono::steady_clock::now()) {}

void FlightRecorder::add(std::deque<Event>& ring, std::size_t most, const std::string& kind, const std::string& policy, std::vector<Fact> facts) {
  using namespace std::chrono;
  const std::scoped_lock lock(mutex_);
  if (ring.size() >= most) ring.pop_front();
  ring.push_back({events_++, duration<double>(steady_clock::now() - start_).count(), duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count(), kind, policy,
                  std::move(facts)});
}

void FlightRecorder::note(const std::string& kind, const std::string& policy, std::initializer_list<Fact> facts) { add(others_, most_others, kind, policy, facts); }

void FlightRecorder::chunk(const std::string& policy, std::initializer_list<Fact> facts) { add(chunks_, most_chunks, "chunk", policy, facts); }

void FlightRecorder::error(const std::string& policy, const std::string& during, const sdk::Error& error) {
  std::vector<Fact> facts{{"during", during}, {"code", std::string(sdk::code_name(error.code()))}};
  if (!error.sqlstate().empty()) facts.emplace_back("sqlstate", error.sqlstate());
  if (error.vendor_code() != 0) facts.emplace_back("vendor_code", std::int64_t{error.vendor_code()});
  if (!error.constraint().empty()) facts.emplace_back("constraint", error.constraint());
  add(others_, most_others, "error", policy, std::move(facts));
}

void FlightRecorder::statements(const std::string& policy, const std::vector<std::string>& texts) {
  const std::scoped_lock lock(mutex_);
  if (statements_.size() >= most_policies && statements_.count(policy) == 0) return;
  std::vector<std::string>& kept = statements_[policy];
  kept.clear();
  for (const std::string& text : texts) kept.push_back(cut(text));
}

std::string FlightRecorder::to_json() const {
  const std::scoped_lock lock(mutex_);
  std::vector<const Event*> all;
  for (const Event& e : chunks_) all.push_back(&e);
  for (const Event& e : others_) all.push_back(&e);
  std::sort(all.begin(), all.end(), [](const Event* a, const Event* b) { return a->number < b->number; });
  Json events = Json::array();
  for (const Event* e : all) {
    Json event = {{"at_s", std::round(e->at_s * 1e6) / 1e6}, {"utc", format_instant(e->utc_ns / 1'000'000 * 1'000'000)}, {"kind", e->kind}, {"policy", e->policy}};
    for (const auto& [name, value] : e->facts) {
      if (const auto* text = std::get_if<std::string>(&value)) event[name] = cut(*text);
      else std::visit([&event, &key = name](const auto& number) { event[key] = number; }, value);
    }
    events.push_back(std::move(event));
  }
  const Json out = {{"events", events}, {"events_dropped", events_ - all.size()}, {"statements", statements_}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace purgekit
