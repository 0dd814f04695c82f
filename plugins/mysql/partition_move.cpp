// "partition": a partition whose rows all go becomes a table beside the purged one, whole. One partition a stroke. The last one of
// the range is left to the walk that follows: it takes the rows of the present.
#include <set>

#include "dialect.hpp"
#include "move.hpp"
#include "move_judge.hpp"
#include "partitions.hpp"

namespace purgekit::mysql {
namespace {

using sdk::Error;
using sdk::Value;

class PartitionMove final : public Move {
 public:
  using Move::Move;
  PartitionMove(const PartitionMove&) = delete;
  PartitionMove& operator=(const PartitionMove&) = delete;
  ~PartitionMove() override { undo(); }

  std::vector<std::string> statements() const override {
    const MoveNames names{order_.schema, order_.table + "_purgekit"};
    return {"LOCK TABLES " + target() + " WRITE, " + names.aside() + " WRITE", around("SELECT COUNT(*), SUM(", " IS NOT TRUE) FROM " + target() + " PARTITION (…)").text(),
            lines_.main.is_mariadb() ? convert("…", names) : exchange("…", names), "DROP TABLE " + names.aside()};
  }

 protected:
  sdk::Deleted work(const sdk::Range& range) override;
  void decide() override;

 private:
  std::string convert(const std::string& partition, const MoveNames& names) const { return "ALTER TABLE " + target() + " CONVERT PARTITION " + partition + " TO TABLE " + names.aside(); }
  std::string exchange(const std::string& partition, const MoveNames& names) const { return "ALTER TABLE " + target() + " EXCHANGE PARTITION " + partition + " WITH TABLE " + names.aside(); }

  std::set<std::string> staying_;  // hold a row that stays
  std::string partition_;          // of the stroke in hand, quoted
  std::int64_t rows_ = 0;
};

sdk::Deleted PartitionMove::work(const sdk::Range& range) {
  Line& hand = lines_.hand;
  if (range.cursor.empty()) staying_.clear();
  std::vector<Partition> partitions = read_partitions(hand, order_.schema, order_.table);
  if (!partitions.empty()) partitions.pop_back();
  for (const Partition& partition : partitions) {
    partition_ = MysqlDialect().quote(partition.name);
    const std::string from = target() + " PARTITION (" + partition_ + ")";
    // Asked before anybody is made to wait, and again under the lock.
    if (staying_.count(partition.name) != 0) continue;
    if (finds(from, true)) {
      staying_.insert(partition.name);
      continue;
    }
    begin_tables();
    std::vector<std::string> beside{names_.note()};
    if (!hand.is_mariadb()) {
      hand.command("CREATE TABLE " + names_.aside() + " LIKE " + target());
      hand.command("ALTER TABLE " + names_.aside() + " REMOVE PARTITIONING");
      beside.push_back(names_.aside());
    }
    lock(beside);
    const std::string problem = dependents_problem(hand, order_.schema, order_.table);
    if (!problem.empty()) throw Error(PK_NOT_SUPPORTED, problem + "; nothing was changed");
    const Count found = count(from);
    if (found.staying == 0) {
      rows_ = found.rows;
      write_note(found.rows);
      return {found.rows, found.rows, sdk::encode_row({Value::string(partition.name)}), false, -1};
    }
    staying_.insert(partition.name);  // a row came in between; the next stroke goes on
    return {0, 0, sdk::encode_row({Value::string(partition.name)}), false, -1};
  }
  return {0, 0, sdk::encode_row({Value::string("")}), true, 1};
}

// On MySQL the partition changes places with an empty table of the same make, and is dropped then; MariaDB, which can't do that under a
// lock, does all in one statement.
void PartitionMove::decide() {
  Line& hand = lines_.hand;
  const std::string drop = "ALTER TABLE " + target() + " DROP PARTITION " + partition_;
  if (rows_ == 0) {
    hand.command(drop);
  } else if (hand.is_mariadb()) {
    hand.command(convert(partition_, names_));
  } else {
    hand.command(exchange(partition_, names_));
  }
  try {
    if (rows_ > 0 && !hand.is_mariadb()) hand.command(drop);
    unlock();
  } catch (const Error&) {
    // The rows are aside, and that is what counts. An empty partition goes with the next stroke, the lock with the session.
  }
}

}  // namespace

std::unique_ptr<Move> make_partition_move(MoveLines lines, MoveOrder order) { return std::make_unique<PartitionMove>(lines, std::move(order)); }

}  // namespace purgekit::mysql
