/// \file closing_report.hpp
/// What is left when a policy is through, and what holds it. Internal to the runner.
#pragma once

#include "worker.hpp"

namespace purgekit {

/// Counts the rows left and names what blocks them, in `work.report`.
void closing_report(PolicyWork& work, Worker& worker, Session& session);

}  // namespace purgekit
