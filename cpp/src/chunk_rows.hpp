/// \file chunk_rows.hpp
/// The rows of one chunk out of an archive file, in pieces of bounded size. Internal.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "purgekit/restore.hpp"

namespace purgekit {

/// Hands over whole lines, about `piece_bytes` at a time. What was handed over counts only when this returns: whether the rows are those
/// that were archived is known at their end.
/// \throws sdk::Error PK_CORRUPT naming the file
void read_chunk(const FileChunk& chunk, std::size_t piece_bytes, const std::function<void(std::string_view lines)>& take);

}  // namespace purgekit
