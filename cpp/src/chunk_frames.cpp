#include "chunk_frames.hpp"

#include <zstd.h>

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "purgekit/sdk/error.hpp"
#include "row_lines.hpp"

namespace purgekit {
namespace {

// Measured on session rows whose objects hardly shrink: 460 MB a second, at zstd's default (3) 280 MB for files a tenth smaller.
constexpr int level = 2;
constexpr std::size_t most_waiting = 2;  // batches; more would only take memory, since whoever is slower sets the pace

}  // namespace

/// What the callee of a sink owns, whatever happens.
struct ChunkFrames::Batch {
  std::size_t table;
  ArrowSchema schema;
  ArrowArray rows;
  Batch(std::size_t number, ArrowSchema* s, ArrowArray* r) : table(number), schema(s == nullptr ? ArrowSchema{} : *s), rows(r == nullptr ? ArrowArray{} : *r) {
    if (s != nullptr) s->release = nullptr;  // moved
    if (r != nullptr) r->release = nullptr;
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch() {
    if (rows.release != nullptr) rows.release(&rows);
    if (schema.release != nullptr) schema.release(&schema);
  }
};

struct ChunkFrames::Table {
  struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };

  explicit Table(const ArchivedTable& source) : name(source.name), columns(source.columns), context(ZSTD_createCCtx()) {
    if (!context) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  }

  void start() {
    ZSTD_CCtx_reset(context.get(), ZSTD_reset_session_only);
    hash.begin();
    rows = bytes = 0;
    data.clear();
  }

  void compress(std::string_view lines, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{lines.data(), lines.size(), 0};
    const std::size_t room = ZSTD_CStreamOutSize();
    for (;;) {
      const std::size_t used = data.size();
      data.resize(used + room);
      ZSTD_outBuffer out{data.data() + used, room, 0};
      const std::size_t left = ZSTD_compressStream2(context.get(), &out, &in, directive);
      data.resize(used + out.pos);
      if (ZSTD_isError(left) != 0) throw sdk::Error(PK_INTERNAL, std::string("compressing rows for the archive failed: ") + ZSTD_getErrorName(left));
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) return;
    }
  }

  std::string name;
  std::vector<sdk::Column> columns;
  std::unique_ptr<ZSTD_CCtx, FreeContext> context;
  Sha256 hash;
  std::int64_t rows = 0;
  std::int64_t bytes = 0;
  std::string data;
};

ChunkFrames::ChunkFrames(const ArchiveFiles& plan) : sink_{this, take} {
  tables_.reserve(plan.tables.size());
  for (const ArchivedTable& table : plan.tables) tables_.push_back(std::make_unique<Table>(table));
}

ChunkFrames::~ChunkFrames() {
  {
    const std::lock_guard lock(mutex_);
    batches_.clear();
    ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ChunkFrames::start() {
  std::unique_lock lock(mutex_);
  batches_.clear();
  settle(lock);
  problem_ = nullptr;
  for (const auto& table : tables_) table->start();
}

int32_t ChunkFrames::take(void* self, std::size_t table, ArrowSchema* schema, ArrowArray* rows, pk_error* error) {
  try {
    auto batch = std::make_unique<Batch>(table, schema, rows);
    if (schema == nullptr || rows == nullptr) throw sdk::Error(PK_INTERNAL, "the backend gave no rows to the archive, which is a defect of the backend");
    static_cast<ChunkFrames*>(self)->give(std::move(batch));
    return PK_OK;
  } catch (const sdk::Error& e) {
    return e.to_c(error);
  } catch (const std::exception& e) {
    return sdk::Error(PK_INTERNAL, std::string("keeping deleted rows failed: ") + e.what()).to_c(error);
  }
}

void ChunkFrames::give(std::unique_ptr<Batch> batch) {
  if (batch->table >= tables_.size()) throw sdk::Error(PK_INTERNAL, "the backend gave rows of a table to the archive that it was not asked about, which is a defect of the backend");
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return batches_.size() < most_waiting || problem_; });
  if (problem_) std::rethrow_exception(problem_);
  batches_.push_back(std::move(batch));
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  changed_.notify_all();
}

void ChunkFrames::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !batches_.empty(); });
    if (batches_.empty()) return;
    std::unique_ptr<Batch> batch = std::move(batches_.front());
    batches_.pop_front();
    busy_ = true;
    lock.unlock();
    changed_.notify_all();
    std::exception_ptr problem;
    try {
      add(*batch);
    } catch (...) {
      problem = std::current_exception();
    }
    batch.reset();
    lock.lock();
    busy_ = false;
    if (problem) {
      problem_ = problem;
      batches_.clear();
    }
    changed_.notify_all();
  }
}

void ChunkFrames::settle(std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [&] { return batches_.empty() && !busy_; });
}

void ChunkFrames::add(const Batch& batch) {
  Table& table = *tables_[batch.table];
  lines_.clear();
  append_lines(lines_, batch.schema, batch.rows, table.columns);
  table.hash.add(lines_);
  table.compress(lines_, ZSTD_e_continue);
  table.rows += batch.rows.length;
  table.bytes += static_cast<std::int64_t>(lines_.size());
}

std::vector<Frame> ChunkFrames::finish(const std::vector<std::int64_t>& deleted) {
  std::unique_lock lock(mutex_);
  settle(lock);
  if (problem_) std::rethrow_exception(problem_);
  std::vector<Frame> out;
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    Table& table = *tables_[i];
    const std::int64_t expected = i < deleted.size() ? deleted[i] : 0;
    if (table.rows != expected) {
      throw sdk::Error(PK_INTERNAL, "the backend says that it deleted " + std::to_string(expected) + " rows of " + table.name + " and gave " + std::to_string(table.rows) +
                                        " to the archive, so the chunk was rolled back and nothing of it was done");
    }
    if (table.rows == 0) continue;
    table.compress({}, ZSTD_e_end);
    out.push_back({i, table.rows, table.bytes, table.hash.hex(), std::move(table.data)});
  }
  return out;
}

}  // namespace purgekit
