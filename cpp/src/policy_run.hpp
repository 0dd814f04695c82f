/// \file policy_run.hpp
/// One policy of a run: takes its table over, has its passes walked by one worker or several, records the outcome. Internal.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy_work.hpp"
#include "worker.hpp"

namespace purgekit {

class PolicyRun {
 public:
  PolicyRun(RunContext& context, const PolicyPlan& plan, std::size_t ordinal);
  /// Never throws for what the database does: the report tells.
  PolicyReport run();

 private:
  /// A worker beside the first, with a session of its own.
  struct Hand {
    explicit Hand(PolicyWork& work);
    Session session;
    Attached attached;
    Worker worker;
  };

  void take_table();
  void record_outcome();
  void settle_doubt();
  std::string what_is_safe() const;
  void walk();
  bool nothing_to_move();
  void walk_pass();
  void walk_parts();
  void walk_together();
  void cut_walk();
  std::vector<std::string> cuts_of_walk();
  void hire();
  // watching.cpp
  void keep_walking();
  bool has_purgeable(std::int64_t now_ns);
  std::int64_t walk_once();
  // policy_run_holds.cpp
  void take_up_holds();
  bool goes_on_with_holds();
  bool rejoin();
  std::string hold_problem(const sdk::Error& error);
  void tell_what_is_held();

  RunContext& context_;
  const PolicyPlan& plan_;
  PolicyWork work_;
  Worker worker_;
  std::vector<std::unique_ptr<Hand>> hands_;
  bool resumed_pass_ = false;
};

}  // namespace purgekit
