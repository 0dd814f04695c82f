#include "purgekit/sdk/error.hpp"

#include <set>
#include <string>

#include "gtest/gtest.h"
#include "purgekit/sdk/adapter.hpp"

namespace purgekit::sdk {
namespace {

TEST(Error, EachCodeHasAWordOfItsOwn) {
  std::set<std::string> words;
  for (int code = PK_OK; code <= PK_ARCHIVE_REFUSED; ++code) words.insert(code_name(static_cast<pk_code>(code)));
  EXPECT_EQ(words.size(), static_cast<std::size_t>(PK_ARCHIVE_REFUSED) + 1);
}

TEST(Error, CrossesTheLineAndBack) {
  Error error(PK_FOREIGN_KEY, "a reference forbids it");
  error.sqlstate("23503").vendor_code(1451).constraint("fk_orders").context("deleting from customers");
  pk_error c{};
  EXPECT_EQ(error.to_c(&c), PK_FOREIGN_KEY);
  const Error back = Error::from_c(c.code, c);
  EXPECT_EQ(back.code(), PK_FOREIGN_KEY);
  EXPECT_EQ(back.message(), "deleting from customers: a reference forbids it");
  EXPECT_EQ(back.sqlstate(), "23503");
  EXPECT_EQ(back.vendor_code(), 1451);
  EXPECT_EQ(back.constraint(), "fk_orders");
}

TEST(Error, FlagsFollowFromTheCode) {
  for (int code = PK_OK + 1; code <= PK_ARCHIVE_REFUSED; ++code) {
    const Error error(static_cast<pk_code>(code), "x");
    pk_error c{};
    error.to_c(&c);
    EXPECT_EQ(c.retryable != 0, is_retryable(error.code()));
    EXPECT_EQ(c.connection_lost != 0, is_connection_lost(error.code()));
    EXPECT_EQ(c.in_doubt != 0, code == PK_IN_DOUBT);
    EXPECT_FALSE(error.retryable() && error.connection_lost()) << "a lost connection can't try again: " << code_name(error.code());
  }
}

TEST(Error, LongMessagesAreCutBetweenCharacters) {
  for (std::size_t padding = 0; padding < 4; ++padding) {
    std::string message(padding, '.');
    while (message.size() < 2'000) message += "\xf0\x9f\x98\x80";
    pk_error c{};
    Error(PK_INTERNAL, message).to_c(&c);
    const std::string cut = c.message;
    EXPECT_LT(cut.size(), sizeof c.message);
    EXPECT_GT(cut.size(), sizeof c.message - 5);
    EXPECT_EQ((cut.size() - padding) % 4, 0u);
  }
}

TEST(Error, CodesFromOutsideTheListBecomeInternal) {
  pk_error c{};
  for (const std::int32_t code : {0, -1, 25, 1'000'000}) EXPECT_EQ(Error::from_c(code, c).code(), PK_INTERNAL) << code;
  EXPECT_EQ(Error::from_c(PK_DEADLOCK, c).message(), "the backend gave no reason");
}

TEST(Error, NoExceptionCrossesTheLine) {
  pk_error c{};
  EXPECT_EQ(guarded(&c, [] { throw std::bad_alloc(); }), PK_SERVER_RESOURCES);
  EXPECT_EQ(guarded(&c, [] { throw std::runtime_error("a defect"); }), PK_INTERNAL);
  EXPECT_STREQ(c.message, "a defect");
  EXPECT_EQ(guarded(&c, [] { throw 7; }), PK_INTERNAL);
  EXPECT_EQ(guarded(nullptr, [] { throw Error(PK_DATA, "nobody listens"); }), PK_DATA);
  EXPECT_EQ(guarded(&c, [] {}), PK_OK);
}

}  // namespace
}  // namespace purgekit::sdk
