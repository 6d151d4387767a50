-- a comment
SELECT customer_id, 'train' AS split, 0 AS y, count(*) AS f FROM transactions GROUP BY 1; -- and an end
