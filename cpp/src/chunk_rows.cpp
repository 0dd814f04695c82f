#include "chunk_rows.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <system_error>

#include "json.hpp"
#include "purgekit/sdk/error.hpp"
#include "sha256.hpp"

namespace purgekit {
namespace {

constexpr std::size_t longest_line = std::size_t{256} << 20;
constexpr int largest_window_log = 27;  // 128 MB: what zstdcat takes without being asked

[[noreturn]] void fail(const FileChunk& chunk, const std::string& what) {
  throw sdk::Error(PK_CORRUPT, "archive file " + printable(chunk.path) + ", chunk " + std::to_string(chunk.number) + ": " + what + "; nothing of this chunk was loaded");
}

/// The file, for reading.
class Source {
 public:
  explicit Source(const FileChunk& chunk) : chunk_(chunk), at_(chunk.begin), fd_(::open(chunk.path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
    if (fd_ < 0) fail(chunk, "it can't be read: " + std::generic_category().message(errno));
    struct stat facts {};
    if (::fstat(fd_, &facts) == 0 && S_ISREG(facts.st_mode)) return;
    ::close(fd_);
    fail(chunk, "it is no ordinary file");
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() { ::close(fd_); }

  /// Nothing at the frame's end.
  std::size_t read(std::string& buffer) {
    const auto most = static_cast<std::size_t>(std::min<std::int64_t>(chunk_.end - at_, static_cast<std::int64_t>(buffer.size())));
    if (most == 0) return 0;
    ssize_t got = 0;
    do {
      got = ::pread(fd_, buffer.data(), most, at_);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) fail(chunk_, got < 0 ? "it can't be read: " + std::generic_category().message(errno) : "it ends too early");
    at_ += got;
    return static_cast<std::size_t>(got);
  }

 private:
  const FileChunk& chunk_;
  std::int64_t at_;
  int fd_;
};

struct FreeContext {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

void read_chunk(const FileChunk& chunk, std::size_t piece_bytes, const std::function<void(std::string_view lines)>& take) {
  Source source(chunk);
  const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
  if (!context) throw std::bad_alloc();
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, largest_window_log);
  Sha256 hash;
  std::string compressed(ZSTD_DStreamInSize(), '\0');
  std::string lines;
  std::size_t used = 0;   // of `lines`
  std::size_t whole = 0;  // of that, up to its last newline
  std::int64_t bytes = 0;
  std::int64_t rows = 0;
  const auto hand_over = [&] {
    rows += std::count(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(whole), '\n');
    try {
      take(std::string_view(lines.data(), whole));
    } catch (const sdk::Error& e) {
      if (e.code() == PK_CORRUPT) fail(chunk, e.message());
      throw;
    }
    lines.erase(0, whole);
    used -= whole;
    whole = 0;
  };
  for (std::size_t got = source.read(compressed); got > 0 && bytes <= chunk.bytes; got = source.read(compressed)) {
    ZSTD_inBuffer in{compressed.data(), got, 0};
    while (in.pos < in.size && bytes <= chunk.bytes) {
      lines.resize(used + ZSTD_DStreamOutSize());
      ZSTD_outBuffer out{lines.data() + used, lines.size() - used, 0};
      const std::size_t left = ZSTD_decompressStream(context.get(), &out, &in);
      if (ZSTD_isError(left) != 0) fail(chunk, std::string("it can't be decompressed: ") + ZSTD_getErrorName(left));
      const std::string_view fresh(lines.data() + used, out.pos);
      hash.add(fresh);
      if (const std::size_t newline = fresh.rfind('\n'); newline != std::string_view::npos) whole = used + newline + 1;
      used += out.pos;
      bytes += static_cast<std::int64_t>(out.pos);
      if (used - whole > longest_line) fail(chunk, "a row is longer than " + std::to_string(longest_line >> 20) + " MiB");
      if (whole >= piece_bytes) hand_over();
    }
  }
  if (bytes != chunk.bytes || hash.hex() != chunk.sha256) fail(chunk, "its rows are not those that were archived: their hash differs");
  if (whole > 0) hand_over();
  if (used > 0 || rows != chunk.rows) fail(chunk, "it says " + std::to_string(chunk.rows) + " rows and holds " + std::to_string(rows));
}

}  // namespace purgekit
