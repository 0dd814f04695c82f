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
// Compressing is nearly half of the work, so a thread of zstd's own does it while the next rows are written as lines.
constexpr int compressing_threads = 1;
constexpr int piece_bytes = 1 << 20;  // handed to that thread: small, so that little is left to do when a chunk's rows end

/// What the callee of a sink owns, whatever happens.
struct Released {
  ArrowSchema* schema;
  ArrowArray* rows;
  Released(ArrowSchema* s, ArrowArray* r) : schema(s), rows(r) {}
  Released(const Released&) = delete;
  Released& operator=(const Released&) = delete;
  ~Released() {
    if (rows != nullptr && rows->release != nullptr) rows->release(rows);
    if (schema != nullptr && schema->release != nullptr) schema->release(schema);
  }
};

}  // namespace

struct ChunkFrames::Table {
  struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };

  explicit Table(const ArchivedTable& source) : name(source.name), columns(source.columns), context(ZSTD_createCCtx()) {
    if (!context) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
    // A zstd that was built without threads refuses these and works in ours.
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_nbWorkers, compressing_threads);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_jobSize, piece_bytes);
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
  for (const ArchivedTable& table : plan.tables) tables_.push_back(std::make_unique<Table>(table));
}

ChunkFrames::~ChunkFrames() = default;

void ChunkFrames::start() {
  for (const auto& table : tables_) table->start();
}

int32_t ChunkFrames::take(void* self, std::size_t table, ArrowSchema* schema, ArrowArray* rows, pk_error* error) {
  const Released released(schema, rows);
  try {
    if (schema == nullptr || rows == nullptr) throw sdk::Error(PK_INTERNAL, "the backend gave no rows to the archive, which is a defect of the backend");
    static_cast<ChunkFrames*>(self)->add(table, *schema, *rows);
    return PK_OK;
  } catch (const sdk::Error& e) {
    return e.to_c(error);
  } catch (const std::exception& e) {
    return sdk::Error(PK_INTERNAL, std::string("keeping deleted rows failed: ") + e.what()).to_c(error);
  }
}

void ChunkFrames::add(std::size_t number, const ArrowSchema& schema, const ArrowArray& rows) {
  if (number >= tables_.size()) throw sdk::Error(PK_INTERNAL, "the backend gave rows of a table to the archive that it was not asked about, which is a defect of the backend");
  Table& table = *tables_[number];
  lines_.clear();
  append_lines(lines_, schema, rows, table.columns);
  table.hash.add(lines_);
  table.compress(lines_, ZSTD_e_continue);
  table.rows += rows.length;
  table.bytes += static_cast<std::int64_t>(lines_.size());
}

std::vector<Frame> ChunkFrames::finish(const std::vector<std::int64_t>& deleted) {
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
